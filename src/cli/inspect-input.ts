import { anatomyOf } from '../envelope/anatomy.ts';
import { KeyferryError } from '../errors.ts';
import { bytesOfBase64, isBlank, linesOf, parseLine } from './json-lines.ts';

/** How an input holds its value. `auto` looks at it. */
export const inputEncodings = ['auto', 'raw', 'base64'] as const;
export type InputEncoding = (typeof inputEncodings)[number];

/** A value to look at, or what is wrong with a line. */
export type InputValue =
  | { readonly key?: string; readonly value: Buffer }
  | { readonly key: string | null; readonly problem: string };

/** No value of etcd is larger; JSON lines may be as many as they like. In bytes. */
const MAX_INPUT = 256 * 1024 * 1024;

/**
 * The values in an input. By `auto` it may be
 * - one value, as etcd has it, or in base64 (no value that kube-apiserver reads looks like base64);
 * - what `etcdctl get -w json` prints;
 * - JSON lines as `keyferry envelope` takes them, one by one.
 *
 * @throws KeyferryError `InputEmpty`, `InputNotBase64`, `InputTooLong`, `InputLineTooLong`
 */
export async function* valuesOf(
  chunks: AsyncIterable<Buffer>,
  encoding: InputEncoding,
): AsyncGenerator<InputValue> {
  const { head, all } = await peekLine(chunks);
  if (encoding === 'auto' && isJsonLine(head)) {
    yield* linesAsValues(all);
    return;
  }
  const input = await collect(all);
  if (input.length === 0) {
    throw new KeyferryError('InputEmpty', 'there is no value to look at: the input is empty', {
      remedy:
        'give a file, or pipe a value in: etcdctl get /registry/secrets/default/a -w json | keyferry inspect',
    });
  }
  if (encoding === 'raw') yield { value: input };
  else if (encoding === 'base64') yield { value: requireBase64(input) };
  else yield* etcdctlValues(input) ?? [{ value: bytesOfText(input) ?? withoutLineFeed(input) }];
}

/** Reads up to the first line feed; `all` begins at the beginning nevertheless. */
async function peekLine(
  chunks: AsyncIterable<Buffer>,
): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  const read: Buffer[] = [];
  let size = 0;
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    read.push(next.value);
    size += next.value.length;
    if (next.value.includes(0x0a) || size > MAX_INPUT) break;
  }
  const head = Buffer.concat(read);
  const end = head.indexOf(0x0a);
  return {
    head: end < 0 ? head : head.subarray(0, end),
    all: (async function* () {
      yield head;
      yield* { [Symbol.asyncIterator]: () => iterator };
    })(),
  };
}

function isJsonLine(line: Buffer): boolean {
  return line[0] === 0x7b && !('problem' in parseLine(line));
}

async function* linesAsValues(chunks: AsyncIterable<Buffer>): AsyncGenerator<InputValue> {
  let number = 0;
  for await (const line of linesOf(chunks)) {
    number += 1;
    if (isBlank(line)) continue;
    const parsed = parseLine(line);
    yield 'problem' in parsed
      ? { key: parsed.key, problem: `line ${number} can't be used: ${parsed.problem}` }
      : parsed;
  }
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.length;
    if (size > MAX_INPUT) {
      throw new KeyferryError(
        'InputTooLong',
        `the input is longer than ${MAX_INPUT} bytes, and no value is`,
        {
          remedy: 'give one value, or many as JSON lines: {"key": "/registry/…", "value": "base64"}',
        },
      );
    }
  }
  return Buffer.concat(parts);
}

function etcdctlValues(input: Buffer): InputValue[] | undefined {
  if (input[0] !== 0x7b) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(input.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || 'apiVersion' in parsed) return undefined;
  if (!('kvs' in parsed) || !Array.isArray(parsed.kvs)) return undefined;
  return parsed.kvs.map((one: unknown) => {
    const { key, value } = one as { key?: unknown; value?: unknown };
    const bytes = typeof value === 'string' ? bytesOfBase64(value) : Buffer.alloc(0);
    const name = typeof key === 'string' ? (bytesOfBase64(key)?.toString('utf8') ?? null) : null;
    if (bytes === undefined || name === null) return { key: name, problem: 'its key or value is not base64' };
    return { key: name, value: bytes };
  });
}

/** Line breaks are let pass: `base64` wraps its lines. */
function bytesOfText(input: Buffer): Buffer | undefined {
  const text = input
    .toString('latin1')
    .replaceAll(/[\r\n]/g, '')
    .trim();
  return text === '' ? undefined : bytesOfBase64(text);
}

function requireBase64(input: Buffer): Buffer {
  const bytes = bytesOfText(input);
  if (bytes !== undefined) return bytes;
  throw new KeyferryError('InputNotBase64', 'the input is not base64 (standard alphabet, padded)', {
    remedy: 'leave --input out, or say --input raw',
  });
}

/** `etcdctl get --print-value-only` ends a value with a line feed, which makes one of most formats unreadable. */
function withoutLineFeed(input: Buffer): Buffer {
  if (input.at(-1) !== 0x0a) return input;
  const shorter = input.subarray(0, -1);
  const [asIs, cut] = [anatomyOf(input), anatomyOf(shorter)];
  if (asIs.header.provider === 'unknown' && cut.header.provider !== 'unknown') return shorter;
  return asIs.header.provider === 'aescbc' && (cut.sizes.encryptedData ?? 1) % 16 === 0 ? shorter : input;
}
