import { Command } from 'commander';
import {
  readConfigurationFile,
  validateEncryptionConfiguration,
  type Problem,
} from '../../encryption-config/index.ts';
import { ExitCode } from '../exit-codes.ts';
import { print } from '../output.ts';

interface ValidateOptions {
  readonly kmsV1?: true;
  readonly reload: boolean;
  readonly json?: true;
}

/** `keyferry encryption-config`: what can be said of an EncryptionConfiguration without a cluster. */
export function encryptionConfigCommand(): Command {
  const command = new Command('encryption-config').description(
    'Looks at EncryptionConfiguration files, offline.',
  );
  command
    .command('validate')
    .description('Tells what kube-apiserver would say of a file, and where.')
    .argument('<file>', 'an EncryptionConfiguration, in YAML or JSON')
    .option('--kms-v1', 'the API servers run with --feature-gates=KMSv1=true')
    .option('--no-reload', 'the API servers are restarted: they do not take up a changed file by themselves')
    .option('--json', 'one JSON document')
    .action(async (file: string, options: ValidateOptions) => {
      const { text, hash } = await readConfigurationFile(file);
      const problems = validateEncryptionConfiguration(text, {
        kmsV1: options.kmsV1 ?? false,
        reload: options.reload,
      });
      const valid = problems.every((problem) => problem.severity === 'warning');
      print(options.json ?? false, { file, hash, valid, problems }, () =>
        [
          ...problems.map((problem) => format(file, problem)),
          `${file}: ${valid ? 'valid' : 'not valid'}`,
        ].join('\n'),
      );
      if (!valid) process.exitCode = ExitCode.invalidInput;
    });
  return command;
}

function format(file: string, { line, column, severity, path, message, remedy }: Problem): string {
  const where = path === '' ? '' : `${path}: `;
  return `${file}:${line}:${column}: ${severity}: ${where}${message}\n  what to do: ${remedy}`;
}
