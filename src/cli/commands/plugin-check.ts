import { Command, InvalidArgumentError } from 'commander';
import ms, { type StringValue } from 'ms';
import {
  parseEncryptionConfiguration,
  readConfigurationFile,
  validateEncryptionConfiguration,
} from '../../encryption-config/index.ts';
import { checkEntries, pluginEntries, timeoutOf } from '../../kms-plugin/entries.ts';
import { defaultTimeoutMs } from '../../kms-plugin/examination.ts';
import { probePlugin } from '../../kms-plugin/probe.ts';
import type { Check } from '../../plan/preflight.ts';
import { ExitCode } from '../exit-codes.ts';
import { print } from '../output.ts';
import { renderChecks } from '../render-checks.ts';

interface CheckOptions {
  readonly for: number;
  readonly every: number;
  readonly timeout?: number;
  readonly encryptionConfig?: string;
  readonly json?: true;
}

/** `keyferry plugin check`: a linter for KMS v2 plugins, whoever made them. */
export function pluginCheckCommand(): Command {
  return new Command('check')
    .description(
      "Uses a running KMS v2 plugin, anybody's, as an API server does, and tells what is wrong with it. Seals and opens random bytes; writes nothing.",
    )
    .argument('<endpoint>', 'its socket, as in unix:///run/kms/plugin.sock')
    .option('--for <duration>', 'how long its key id is watched, as in 2m', duration, 0)
    .option('--every <duration>', 'how often, meanwhile', duration, 1_000)
    .option(
      '--timeout <duration>',
      'how long a call may take (default: what the file says, else 3s)',
      duration,
    )
    .option('--encryption-config <file>', 'also whether its entries share a socket or a name')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExits with 1 where a check fails; warnings do not.')
    .action(async (endpoint: string, options: CheckOptions) => {
      const file = options.encryptionConfig;
      const { checks: fileChecks, timeoutMs } =
        file === undefined ? { checks: [] } : await checkFile(file, endpoint);
      const probe = await probePlugin(endpoint, {
        timeoutMs: options.timeout ?? timeoutMs ?? defaultTimeoutMs,
        forMs: options.for,
        everyMs: options.every,
      });
      const checks = [...probe.checks, ...fileChecks];
      const passed = checks.every(({ outcome }) => outcome !== 'fail');
      print(options.json ?? false, { endpoint, passed, keyId: probe.keyId, checks }, () =>
        [renderChecks(checks), '', `${endpoint}: ${passed ? 'fit' : 'not fit'}`].join('\n'),
      );
      if (!passed) process.exitCode = ExitCode.no;
    });
}

/** What an EncryptionConfiguration says of the plugin at an endpoint, and of those beside it. */
async function checkFile(
  file: string,
  endpoint: string,
): Promise<{ checks: Check[]; timeoutMs?: number | undefined }> {
  const { text } = await readConfigurationFile(file);
  const errors = validateEncryptionConfiguration(text, { kmsV1: true }).filter(
    ({ severity }) => severity === 'error',
  );
  const [first] = errors;
  if (first !== undefined) {
    const detail = errors.map(({ line, message }) => `line ${line}: ${message}`).join('; ');
    return { checks: [{ name: 'entries apart', outcome: 'fail', detail, remedy: first.remedy }] };
  }
  const entries = pluginEntries(parseEncryptionConfiguration(text, { kmsV1: true }));
  const own = entries.find((entry) => entry.endpoint === endpoint);
  return {
    checks: [
      await checkEntries(entries),
      own === undefined
        ? {
            name: 'entry of the plugin',
            outcome: 'warn',
            detail: `no kms v2 entry of ${file} has the endpoint ${endpoint}`,
            remedy: 'check the plugin at the socket that API servers are told of',
          }
        : { name: 'entry of the plugin', outcome: 'pass', detail: `kms ${JSON.stringify(own.name)}` },
    ],
    timeoutMs: own === undefined ? undefined : timeoutOf(own),
  };
}

/** "500ms", "30s", "2m" in milliseconds. */
function duration(text: string): number {
  const value = /^\d+(ms|s|m|h)$/.test(text) ? ms(text as StringValue) : undefined;
  if (value === undefined) throw new InvalidArgumentError('Give a number with a unit: 500ms, 30s, 2m.');
  return value;
}
