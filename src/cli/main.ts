import { Command } from 'commander';
import { reportError } from './output.ts';
import { ExitCode } from './exit-codes.ts';
import { version } from './version.ts';
import { censusCommand } from './commands/census.ts';
import { demoCommand } from './commands/demo.ts';
import { schemaCommand, validateCommand } from './commands/documents.ts';
import { encryptionConfigCommand } from './commands/encryption-config.ts';
import { envelopeCommand } from './commands/envelope.ts';
import { inspectCommand } from './commands/inspect.ts';
import { labCommand } from './commands/lab.ts';
import { messageCommands } from './commands/messages.ts';
import { planCommand } from './commands/plan.ts';
import { pluginCommand } from './commands/plugin.ts';
import { preflightCommand } from './commands/preflight.ts';
import { agentCommand, workerCommand } from './commands/processes.ts';
import { reportCommand } from './commands/report.ts';
import { startCommand } from './commands/start.ts';
import { statusCommand } from './commands/status.ts';

const program = new Command('keyferry')
  .description("Moves a Kubernetes control plane's encryption at rest from one key provider to another.")
  .version(version())
  .addHelpText(
    'after',
    `
Exit codes:
  0   done, or yes
  1   answered, and the answer is no (a check failed, objects are left)
  64  wrong arguments
  65  an invalid document (spec, EncryptionConfiguration) or input
  69  Temporal, the cluster or a file could not be reached
  70  a defect in keyferry
  77  refused: a gate is closed, or the cluster is being migrated already`,
  );

program.commandsGroup('Before:');
for (const command of [
  validateCommand(),
  schemaCommand(),
  planCommand(),
  preflightCommand(),
  encryptionConfigCommand(),
]) {
  program.addCommand(command);
}
program.commandsGroup('A migration:');
for (const command of [
  startCommand(),
  statusCommand(),
  ...messageCommands(),
  censusCommand(),
  reportCommand(),
]) {
  program.addCommand(command);
}
program.commandsGroup('Values at rest:');
for (const command of [inspectCommand(), envelopeCommand()]) program.addCommand(command);
program.commandsGroup('Processes:');
for (const command of [workerCommand(), agentCommand(), pluginCommand()]) program.addCommand(command);
program.commandsGroup('Trying it out:');
for (const command of [demoCommand(), labCommand()]) program.addCommand(command);

leaveWithUsage(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error, process.argv.includes('--json'));
}

/** Wrong arguments leave with their own code, in every command: a script must tell a typo from a "no". */
function leaveWithUsage(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? ExitCode.ok : ExitCode.usage));
  command.showHelpAfterError('(run with --help for usage)');
  command.commands.forEach(leaveWithUsage);
}
