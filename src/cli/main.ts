import { Command } from 'commander';
import { reportError } from './output.ts';
import { ExitCode } from './exit-codes.ts';
import { version } from './version.ts';
import { addCommands } from './commands.ts';

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

await addCommands(program, process.argv[2]);
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
