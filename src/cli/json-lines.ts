import { isUtf8 } from 'node:buffer';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { KeyferryError } from '../errors.ts';

/** A value of etcd takes 1.5 MiB unless its limit was raised, and a third more in base64. In bytes. */
const MAX_LINE = 64 * 1024 * 1024;

/** A value as JSON lines carry it: `{"key": etcd key, "value": base64}`. */
export interface KeyedValue {
  readonly key: string;
  readonly value: Buffer;
}

/**
 * Splits bytes at line feeds, and at nothing else: JSON texts may hold the other line breaks of Unicode. A last line may lack
 * its line feed.
 *
 * @throws KeyferryError `InputLineTooLong`
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, end)]);
      parts = [];
      size = 0;
      from = end + 1;
    }
    if (from === chunk.length) continue;
    parts.push(chunk.subarray(from));
    size += chunk.length - from;
    if (size > MAX_LINE) throw tooLong();
  }
  if (size > 0) yield Buffer.concat(parts);
}

function tooLong(): KeyferryError {
  return new KeyferryError('InputLineTooLong', `a line of the input is longer than ${MAX_LINE} bytes`, {
    remedy: 'give one JSON object per line: {"key": "/registry/…", "value": "base64"}',
  });
}

/** A line as a key and its value, or what is wrong with it: never what it holds. */
export function parseLine(
  line: Buffer,
): KeyedValue | { readonly key: string | null; readonly problem: string } {
  if (!isUtf8(line)) return { key: null, problem: 'it is not UTF-8' };
  let parsed: unknown;
  try {
    parsed = JSON.parse(line.toString('utf8'));
  } catch {
    return { key: null, problem: 'it is not JSON' };
  }
  if (typeof parsed !== 'object' || parsed === null || !('key' in parsed) || typeof parsed.key !== 'string') {
    return { key: null, problem: 'it is no JSON object with a text as its key' };
  }
  const { key } = parsed;
  // What has no UTF-8 would become another key, and authenticated formats would not open under it.
  if (!key.isWellFormed()) return { key: null, problem: 'its key is no well-formed Unicode' };
  const value =
    'value' in parsed && typeof parsed.value === 'string' ? bytesOfBase64(parsed.value) : undefined;
  return value === undefined
    ? { key, problem: 'its value is not base64 (standard alphabet, padded)' }
    : { key, value };
}

/** Strictly: padded, standard alphabet, nothing else. */
export function bytesOfBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** What became of a line. */
export type LineAnswer =
  | { readonly key: string; readonly value: Buffer; readonly stale?: true }
  | { readonly key: string | null; readonly error: string };

/**
 * Answers JSON lines with JSON lines, one by one: an error is an answer too, and the next line follows. At most a line is held in
 * memory.
 *
 * @returns how many answers were errors; a reader that went away (`| head`) ends it early
 */
export async function answerLines(
  input: Readable,
  output: Writable,
  answer: (line: KeyedValue) => Promise<LineAnswer>,
): Promise<{ failed: number }> {
  let failed = 0;
  async function* answers(): AsyncGenerator<string> {
    let number = 0;
    for await (const line of linesOf(input)) {
      number += 1;
      if (isBlank(line)) continue;
      const parsed = parseLine(line);
      const answered =
        'problem' in parsed
          ? { key: parsed.key, error: `line ${number} can't be used: ${parsed.problem}` }
          : await answer(parsed);
      if ('error' in answered) failed += 1;
      yield textOf(answered);
    }
  }
  await writeAll(answers, output);
  // Whoever still writes to an input that isn't read any more should hear of it.
  input.destroy();
  return { failed };
}

/** Writes texts as fast as they are taken; a reader that went away (`| head`) ends it without an error. */
export async function writeAll(texts: () => AsyncIterable<string>, output: Writable): Promise<void> {
  try {
    await pipeline(texts, output, { end: false });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error;
  }
}

export function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function textOf(answer: LineAnswer): string {
  return `${JSON.stringify('error' in answer ? answer : { ...answer, value: answer.value.toString('base64') })}\n`;
}
