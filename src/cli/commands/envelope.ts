import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { readConfigurationFile } from '../../encryption-config/index.ts';
import { chainFor, refuseKmsV1Writer } from '../../encryption-config/envelope-chain.ts';
import type { EnvelopeChain } from '../../envelope/chain.ts';
import { EnvelopeError } from '../../envelope/errors.ts';
import { KeyferryError } from '../../errors.ts';
import { EscrowDekSources } from '../../keys/escrow-dek-sources.ts';
import { EscrowIdentities } from '../../keys/escrow.ts';
import { systemErrorCode } from '../../keys/system-error.ts';
import { PluginConnections } from '../../kms-plugin/connections.ts';
import { ExitCode } from '../exit-codes.ts';
import { answerLines, type KeyedValue, type LineAnswer } from '../json-lines.ts';

interface EnvelopeOptions {
  readonly encryptionConfig: string;
  readonly resource: string;
  /** Of `open` alone. */
  readonly escrowIdentity?: string;
}

const help = `
Reads JSON lines from standard input, {"key": "/registry/…", "value": "base64"}, and writes one for each: {"key", "value"}, or
{"key", "error"}, and goes on. No cluster is needed; kms entries are reached at their sockets.

Exits with 1 where a line had an error.`;

/** `keyferry envelope`: values as they are at rest, without a cluster. */
export function envelopeCommand(): Command {
  const command = new Command('envelope').description('Opens and seals values as etcd has them, offline.');
  withOptions(command.command('open'))
    .option(
      '--escrow-identity <file>',
      'open kms v2 values by their escrow, with these age identities, and ask no plugin',
    )
    .description('Open values by any provider of a resource; "stale": true where it would write them anew.')
    .action(async (options: EnvelopeOptions) => {
      await run(options, openLine);
    });
  withOptions(command.command('seal'))
    .description('Seal objects by the first provider of a resource, as an API server would store them.')
    .action(async (options: EnvelopeOptions) => {
      await run(options, sealLine, async (chain, text) => {
        refuseKmsV1Writer(text, options.resource);
        await chain.prepareToSeal();
      });
    });
  return command;
}

function withOptions(command: Command): Command {
  return command
    .requiredOption('--encryption-config <file>', 'an EncryptionConfiguration')
    .requiredOption('--resource <resource>', 'whose providers: secrets, widgets.example.com')
    .addHelpText('after', help);
}

type Answer = (chain: EnvelopeChain, line: KeyedValue) => Promise<LineAnswer>;

async function run(
  { encryptionConfig, resource, escrowIdentity }: EnvelopeOptions,
  answer: Answer,
  prepare?: (chain: EnvelopeChain, text: string) => Promise<void>,
): Promise<void> {
  const { text } = await readConfigurationFile(encryptionConfig);
  const connections =
    escrowIdentity === undefined
      ? new PluginConnections()
      : new EscrowDekSources(new EscrowIdentities(await readEscrowIdentity(escrowIdentity)));
  try {
    const chain = chainFor(text, resource, connections);
    await prepare?.(chain, text);
    const { failed } = await answerLines(process.stdin, process.stdout, async (line) => {
      try {
        return await answer(chain, line);
      } catch (error) {
        return { key: line.key, error: explain(error) };
      }
    });
    if (failed > 0) process.exitCode = ExitCode.no;
  } finally {
    connections.close();
  }
}

async function openLine(chain: EnvelopeChain, { key, value }: KeyedValue): Promise<LineAnswer> {
  const { plaintext, stale } = await chain.open(value, Buffer.from(key));
  return { key, value: plaintext, ...(stale ? { stale } : {}) };
}

async function sealLine(chain: EnvelopeChain, { key, value }: KeyedValue): Promise<LineAnswer> {
  return { key, value: await chain.seal(value, Buffer.from(key)) };
}

async function readEscrowIdentity(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new KeyferryError(
      'FileEscrowIdentity',
      `${file} can't be read (${systemErrorCode(error) ?? 'unreadable'})`,
      {
        remedy: 'give a file of age identities that this user may read',
      },
    );
  }
}

/** Anything else is a defect of keyferry, and ends the command. */
function explain(error: unknown): string {
  if (error instanceof KeyferryError) return `${error.message} (what to do: ${error.remedy})`;
  if (error instanceof EnvelopeError) return error.message;
  throw error;
}
