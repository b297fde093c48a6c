import { Readable, Writable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { answerLines, linesOf, parseLine, type LineAnswer } from './json-lines.ts';

const lines = async (...chunks: Buffer[]): Promise<string[]> => {
  const found: string[] = [];
  for await (const line of linesOf(Readable.from(chunks))) found.push(line.toString());
  return found;
};

describe('lines', () => {
  it('end at line feeds, wherever the chunks end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', '')),
          { minLength: 1 },
        ),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
        async (texts, sizes) => {
          const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''));
          const chunks: Buffer[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            chunks.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(await lines(...chunks)).toEqual(texts);
        },
      ),
    );
  });

  it('do not end at the other line breaks of Unicode, which JSON lets stand in texts', async () => {
    expect(await lines(Buffer.from('"a\u2028b\u2029c\u0085"\nd'))).toEqual(['"a\u2028b\u2029c\u0085"', 'd']);
  });

  it('that never end are refused', async () => {
    const endless = Readable.from(Array.from({ length: 65 }, () => Buffer.alloc(1024 * 1024, 'a')));
    await expect(async () => {
      for await (const _ of linesOf(endless));
    }).rejects.toMatchObject({ code: 'InputLineTooLong' });
  });
});

describe('a line', () => {
  it('is a key and its value', () => {
    expect(parseLine(Buffer.from('{"key":"/größe/\\u2028","value":"AAE=","stale":true}'))).toEqual({
      key: '/größe/\u2028',
      value: Buffer.of(0, 1),
    });
    expect(parseLine(Buffer.from('{"key":"/a","value":""}'))).toEqual({ key: '/a', value: Buffer.alloc(0) });
  });

  it.each([
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), null, 'it is not UTF-8'],
    ['half an object', '{"key":"secret', null, 'it is not JSON'],
    ['a text', '"secret"', null, 'it is no JSON object with a text as its key'],
    ['null', 'null', null, 'it is no JSON object with a text as its key'],
    ['no key', '{"value":"AAE="}', null, 'it is no JSON object with a text as its key'],
    ['half a surrogate pair', '{"key":"\\ud800","value":""}', null, 'its key is no well-formed Unicode'],
    ['no value', '{"key":"/a"}', '/a', 'its value is not base64 (standard alphabet, padded)'],
    ['no padding', '{"key":"/a","value":"AAE"}', '/a', 'its value is not base64 (standard alphabet, padded)'],
    [
      'another alphabet',
      '{"key":"/a","value":"-_8="}',
      '/a',
      'its value is not base64 (standard alphabet, padded)',
    ],
  ])('that holds %s says so, and nothing of what it holds', (_, text, key, problem) => {
    expect(parseLine(Buffer.from(text))).toEqual({ key, problem });
  });
});

describe('answering lines', () => {
  /** A line of a MiB for each number, made when it is read. */
  function* large(count: number, made: () => void): Generator<Buffer> {
    const value = Buffer.alloc(1024 * 1024).toString('base64');
    for (let i = 0; i < count; i++) {
      made();
      yield Buffer.from(`{"key":"/${i}","value":"${value}"}\n`);
    }
  }

  it('never reads far ahead of what is written', async () => {
    let made = 0;
    let written = 0;
    let ahead = 0;
    const slow = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => {
        written += 1;
        ahead = Math.max(ahead, made - written);
        setImmediate(done);
      },
    });
    const source = Readable.from(
      large(30, () => (made += 1)),
      { highWaterMark: 1 },
    );
    const { failed } = await answerLines(source, slow, ({ key }) => Promise.resolve({ key, error: 'no' }));
    expect({ made, written, failed }).toEqual({ made: 30, written: 30, failed: 30 });
    expect(ahead).toBeLessThan(6);
  });

  it('ends without an error when its reader goes away, and lets go of its input', async () => {
    const gone = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    });
    let made = 0;
    const source = Readable.from(large(1_000, () => (made += 1)));
    const answered: LineAnswer[] = [];
    await answerLines(source, gone, ({ key, value }) => {
      const answer = { key, value: value.subarray(0, 1) };
      answered.push(answer);
      return Promise.resolve(answer);
    });
    expect(source.destroyed).toBe(true);
    expect(made).toBeLessThan(100);
  });

  it('fails with what is no answer to a line', async () => {
    const defect = new Error('a defect');
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
    await expect(
      answerLines(Readable.from([Buffer.from('{"key":"/a","value":""}')]), sink, () =>
        Promise.reject(defect),
      ),
    ).rejects.toBe(defect);
  });
});
