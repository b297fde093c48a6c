import { createReadStream } from 'node:fs';
import { Command, Option } from 'commander';
import { endOfPrefix, after, EtcdClient } from '../../cluster/etcd.ts';
import { configuredNames } from '../../encryption-config/envelope-names.ts';
import { readConfigurationFile } from '../../encryption-config/index.ts';
import { anatomyOf } from '../../envelope/anatomy.ts';
import { compileNames, type CompiledNames } from '../../envelope/header.ts';
import { KeyferryError, messageOf } from '../../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { inputEncodings, valuesOf, type InputEncoding, type InputValue } from '../inspect-input.ts';
import { writeAll } from '../json-lines.ts';
import { renderInspection, type Inspection } from '../render-inspection.ts';

interface InspectOptions {
  readonly encryptionConfig?: string;
  readonly input: InputEncoding;
  readonly endpoints?: string;
  readonly prefix?: true;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly json?: true;
}

/** Values may have 1.5 MiB each. */
const PAGE = 50;

/** `keyferry inspect`: what values at rest say of themselves, without a key. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Tell how values are encrypted (provider, key, DEK, sizes) without opening them, offline.')
    .argument('[what]', 'a file with a value, or - for standard input; with --endpoints an etcd key', '-')
    .option('--encryption-config <file>', 'whose names of keys are looked for: they may hold ":"')
    .addOption(
      new Option('--input <encoding>', 'how the value is given').choices(inputEncodings).default('auto'),
    )
    .option('--endpoints <urls>', 'ask this etcd, comma-separated: http://127.0.0.1:2379')
    .option('--prefix', 'with --endpoints: every key that begins so')
    .option('--cacert <file>', 'the CA of etcd')
    .option('--cert <file>', 'the certificate to show etcd')
    .option('--key <file>', 'the key of that certificate')
    .option('--json', 'a JSON object per value, one a line')
    .addHelpText(
      'after',
      `
The input may be one value, raw or in base64; what "etcdctl get … -w json" prints; or JSON lines
{"key": "/registry/…", "value": "base64"}.

Exits with 1 where a value is in no format that kube-apiserver reads.`,
    )
    .action(async (what: string, options: InspectOptions) => {
      const names = await namesOf(options.encryptionConfig);
      let unread = 0;
      async function* answers(): AsyncGenerator<string> {
        let first = true;
        for await (const one of source(what, options)) {
          const inspected = inspect(one, names);
          if ('error' in inspected || inspected.provider === 'unknown') unread += 1;
          yield options.json === true
            ? `${JSON.stringify(inspected)}\n`
            : `${first ? '' : '\n'}${renderInspection(inspected)}\n`;
          first = false;
        }
      }
      await writeAll(answers, process.stdout);
      // Whoever still writes to an input that isn't read any more should hear of it.
      if (what === '-') process.stdin.destroy();
      if (unread > 0) process.exitCode = ExitCode.no;
    });
}

async function namesOf(file: string | undefined): Promise<CompiledNames | undefined> {
  if (file === undefined) return undefined;
  return compileNames(configuredNames((await readConfigurationFile(file)).text));
}

function inspect(one: InputValue, names: CompiledNames | undefined): Inspection {
  if ('problem' in one) return { key: one.key, error: one.problem };
  const { header, sizes } = anatomyOf(one.value, names);
  return { ...(one.key === undefined ? {} : { key: one.key }), ...header, sizes };
}

function source(what: string, options: InspectOptions): AsyncGenerator<InputValue> {
  if (options.endpoints !== undefined) return fromEtcd(what, options.endpoints, options);
  if ((options.prefix === true || options.cacert) ?? options.cert ?? options.key) {
    throw new KeyferryError('UsageInspect', '--prefix and certificates are for etcd, and no etcd is given', {
      remedy: 'give its --endpoints as well',
    });
  }
  const input = what === '-' ? process.stdin : createReadStream(what);
  return valuesOf(readable(input, what), options.input);
}

async function* readable(input: NodeJS.ReadableStream, file: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of input) yield chunk as Buffer;
  } catch (error) {
    throw new KeyferryError('FileUnreadable', `${file} can't be read: ${messageOf(error)}`, {
      remedy: 'give the path of a file with a value, or - for standard input',
    });
  }
}

async function* fromEtcd(
  key: string,
  endpoints: string,
  options: InspectOptions,
): AsyncGenerator<InputValue> {
  if (key === '-') {
    throw new KeyferryError('UsageInspect', "which key of etcd should be looked at isn't said", {
      remedy: 'keyferry inspect --endpoints … /registry/secrets/default/a',
    });
  }
  let etcd: EtcdClient | undefined;
  try {
    etcd = new EtcdClient({ endpoints: endpoints.split(','), prefix: '/registry', ...tlsOf(options) });
    if (options.prefix === true) {
      yield* underPrefix(etcd, key);
      return;
    }
    const entry = await etcd.get(key);
    if (entry === undefined) {
      throw new KeyferryError('NotFoundKey', `etcd has no key ${key}`, {
        remedy:
          "check the name, and the API servers' --etcd-prefix it begins with; --prefix lists what is there",
      });
    }
    yield { key, value: entry.value };
  } catch (error) {
    // Elsewhere etcd's address is in a Migration document.
    if (!(error instanceof KeyferryError) || !/^(UnreachableEtcd|FileEtcdTls)$/.test(error.code)) throw error;
    throw new KeyferryError(error.code, error.message, {
      remedy: 'check that etcd runs, and --endpoints, --cacert, --cert and --key',
      retryable: error.retryable,
    });
  } finally {
    etcd?.close();
  }
}

async function* underPrefix(etcd: EtcdClient, prefix: string): AsyncGenerator<InputValue> {
  if (!prefix.endsWith('/')) {
    throw new KeyferryError('UsageInspect', `the prefix ${prefix} does not end in "/"`, {
      remedy: `${prefix}/ has what lies under it`,
    });
  }
  const end = endOfPrefix(prefix);
  for (let start: string | undefined = prefix; start !== undefined;) {
    const page = await etcd.range({ start, end, limit: PAGE });
    for (const { key, value } of page.entries) yield { key, value };
    const last = page.entries.at(-1);
    start = page.more && last !== undefined ? after(last.key) : undefined;
  }
}

function tlsOf({ cacert, cert, key }: InspectOptions) {
  if (cacert === undefined && cert === undefined && key === undefined) return {};
  if (cacert !== undefined && cert !== undefined && key !== undefined) {
    return { tls: { caFile: cacert, certFile: cert, keyFile: key } };
  }
  throw new KeyferryError('UsageInspect', 'etcd over TLS needs a CA, a certificate and its key', {
    remedy: 'give all of --cacert, --cert and --key',
  });
}
