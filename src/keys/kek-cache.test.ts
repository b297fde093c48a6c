import { beforeEach, describe, expect, it } from '@jest/globals';
import { KekCache } from './kek-cache.ts';
import { KeyServiceError } from './key-service.ts';
import { LocalKek } from './local-kek.ts';

const zeros = Buffer.alloc(32);
const away = new KeyServiceError('unavailable', 'T', 'away', 'r');

let time: number;
let cache: KekCache;
/** Every KEK that was ever unwrapped; the cache wipes these very bytes. */
let bytes: Record<string, Buffer>;
let unwrapped: string[];

beforeEach(() => {
  time = 1_000_000;
  bytes = {};
  unwrapped = [];
  cache = new KekCache({ maxKeys: 3, ttlMs: 100, graceMs: 50, now: () => time });
});

function use(id: string, work: (kek: LocalKek) => unknown = (kek) => kek.copy()): Promise<unknown> {
  const unwrap = () => {
    unwrapped.push(id);
    return Promise.resolve(new LocalKek((bytes[id] = Buffer.alloc(32, id))));
  };
  return cache.use(id, unwrap, work);
}

describe('unwrapped KEKs', () => {
  it('are kept, three at most; the least recently used is wiped', async () => {
    for (const id of ['a', 'b', 'c', 'a', 'd']) expect(await use(id)).toEqual(Buffer.alloc(32, id));
    expect(unwrapped).toEqual(['a', 'b', 'c', 'd']);
    expect(bytes['b']).toEqual(zeros);
    for (const id of ['a', 'c', 'd']) expect(bytes[id]).toEqual(Buffer.alloc(32, id));
    expect(cache.report()).toEqual({ keys: 3, hits: 1, misses: 4, evictions: 1 });
  });

  it('can be used by all who waited, though there is room for fewer', async () => {
    cache = new KekCache({ maxKeys: 1, ttlMs: 100, graceMs: 50, now: () => time });
    const ids = ['a', 'b', 'c', 'a', 'b', 'c', 'b', 'a'];
    expect(await Promise.all(ids.map((id) => use(id)))).toEqual(ids.map((id) => Buffer.alloc(32, id)));
    expect(unwrapped).toEqual(['a', 'b', 'c']);
    expect(cache.report().keys).toBe(1);
  });

  it('are unwrapped again when their time is over, and the old ones wiped', async () => {
    await use('a');
    const first = bytes['a'];
    time += 100;
    await use('a');
    expect(unwrapped).toEqual(['a', 'a']);
    expect(first).toEqual(zeros);
  });

  it('are used longer while the key service is away, until the grace ends', async () => {
    await use('a');
    time += 149;
    expect(
      await cache.use(
        'a',
        () => Promise.reject(away),
        (kek) => kek.copy(),
      ),
    ).toEqual(bytes['a']);
    time += 2;
    await expect(
      cache.use(
        'a',
        () => Promise.reject(away),
        (kek) => kek.copy(),
      ),
    ).rejects.toThrow(away);
    expect(bytes['a']).toEqual(zeros);
  });

  it('are wiped when the key service says no', async () => {
    await use('a');
    time += 100;
    const denied = new KeyServiceError('denied', 'T', 'the key is disabled', 'r');
    await expect(
      cache.use(
        'a',
        () => Promise.reject(denied),
        () => 1,
      ),
    ).rejects.toThrow(denied);
    expect(bytes['a']).toEqual(zeros);
  });

  it('are wiped when their time is over and nobody asks for them', async () => {
    await use('a');
    time += 151;
    cache.purge();
    expect(bytes['a']).toEqual(zeros);
  });

  it('are wiped at the end, also those that come later', async () => {
    await use('a');
    let come: (kek: LocalKek) => void = () => undefined;
    const late = cache.use(
      'late',
      () => new Promise<LocalKek>((resolve) => (come = resolve)),
      (kek) => kek.copy(),
    );
    cache.close();
    expect(bytes['a']).toEqual(zeros);
    const lateBytes = Buffer.alloc(32, 1);
    come(new LocalKek(lateBytes));
    await expect(late).rejects.toThrow('stopping');
    expect(lateBytes).toEqual(zeros);
  });

  it('that fail to come fail for all who waited, and are asked for again', async () => {
    const failing = () =>
      cache.use(
        'a',
        () => Promise.reject(away),
        () => 1,
      );
    expect((await Promise.allSettled([failing(), failing()])).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect(await use('a')).toEqual(Buffer.alloc(32, 'a'));
  });

  it('let a caller go whose deadline is over, and come for the others', async () => {
    let come: (kek: LocalKek) => void = () => undefined;
    const unwrap = () => new Promise<LocalKek>((resolve) => (come = resolve));
    const hurry = new AbortController();
    const hurried = cache.use('a', unwrap, () => 'hurried', hurry.signal);
    const patient = cache.use('a', unwrap, () => 'patient');
    hurry.abort();
    await expect(hurried).rejects.toMatchObject({ kind: 'timeout' });
    come(LocalKek.random());
    expect(await patient).toBe('patient');
  });
});
