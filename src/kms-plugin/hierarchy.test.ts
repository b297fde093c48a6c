import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { type PluginCiphertext } from './client.ts';
import { localKek, PluginBench, until } from './plugin.test-helper.ts';
import { probePlugin } from './probe.ts';

const kek = 'kek.keyferry.dev';
const refused = expect.objectContaining({ code: 'PluginRefused', retryable: false });
const seed = randomBytes(32);

let bench: PluginBench;
let keys: InMemoryTestDoubleKeyService;

beforeEach(() => {
  bench = new PluginBench();
  keys = new InMemoryTestDoubleKeyService();
});

afterEach(() => bench.close());

function wrappedKek(sealed: PluginCiphertext): string {
  const wrapped = sealed.annotations[kek];
  if (wrapped === undefined) throw new Error(`no annotation ${kek}`);
  return wrapped.toString('hex');
}

function remoteCalls(): number {
  return keys.calls.current + keys.calls.encrypt + keys.calls.decrypt;
}

describe('a plugin with a local KEK', () => {
  it('is fit by the probe', async () => {
    await bench.plugin(keys);
    expect((await probePlugin(`unix://${bench.folder}/1.sock`)).problems).toEqual([]);
  });

  it('seals 10,000 DEKs, and opens them with a cold cache, by 10 remote calls at most', async () => {
    const { client } = await bench.plugin(keys);
    const seeds = Array.from({ length: 10_000 }, () => randomBytes(32));
    const sealed = await inBatches(seeds, (dek) => client.encrypt(dek, 'u'));
    expect(new Set(sealed.map(wrappedKek)).size).toBe(1);

    const restarted = await bench.plugin(keys);
    const opened = await inBatches(sealed, (one) => restarted.client.decrypt(one, 'u'));
    expect(Buffer.concat(opened).equals(Buffer.concat(seeds))).toBe(true);
    expect(remoteCalls()).toBeLessThanOrEqual(10);
  }, 120_000);

  it('unwraps a KEK once for all who need it at the same time', async () => {
    const { client } = await bench.plugin(keys);
    const sealed = await client.encrypt(seed, 'u');
    const cold = await bench.plugin(keys);
    keys.calls.decrypt = 0;
    const release = keys.hold();
    const opening = Array.from({ length: 50 }, () => cold.client.decrypt(sealed, 'u'));
    await until(() => keys.calls.decrypt > 0);
    release();
    expect(await Promise.all(opening)).toEqual(opening.map(() => seed));
    expect(keys.calls.decrypt).toBe(1);
  });

  it('opens what another node sealed, and what it sealed itself without asking at all', async () => {
    const [a, b] = [await bench.plugin(keys), await bench.plugin(keys)];
    const sealed = await a.client.encrypt(seed, 'u');
    expect(wrappedKek(await b.client.encrypt(seed, 'u'))).not.toBe(wrappedKek(sealed));
    expect(await b.client.decrypt(sealed, 'u')).toEqual(seed);
    const before = remoteCalls();
    expect(await a.client.decrypt(sealed, 'u')).toEqual(seed);
    expect(remoteCalls()).toBe(before);
  });

  it('opens what was sealed before there was a hierarchy', async () => {
    const old = await bench.plugin(keys, { localKek: undefined });
    const sealed = await old.client.encrypt(seed, 'u');
    expect(sealed.annotations).toEqual({});
    const { client } = await bench.plugin(keys);
    expect(await client.decrypt(sealed, 'u')).toEqual(seed);
  });

  it('opens what was sealed under local KEKs also when it seals without one', async () => {
    const { client } = await bench.plugin(keys);
    const sealed = await client.encrypt(seed, 'u');
    const without = await bench.plugin(keys, { localKek: undefined });
    expect(await without.client.decrypt(sealed, 'u')).toEqual(seed);
    expect((await without.client.encrypt(seed, 'u')).annotations).toEqual({});
  });

  it('seals nothing under a KEK that the key service does not unwrap', async () => {
    const wrapsOnly = Object.create(keys, {
      decrypt: { value: () => Promise.resolve(randomBytes(32)) },
      current: { value: () => keys.current() },
      encrypt: { value: keys.encrypt.bind(keys) },
    }) as InMemoryTestDoubleKeyService;
    const { client } = await bench.plugin(wrapsOnly);
    expect((await client.status()).healthz).toContain('unwraps another key than it wrapped');
    await expect(client.encrypt(seed, 'u')).rejects.toThrow('unwraps another key than it wrapped');
  });

  it('stays within the limits of the API server, and says so of plaintexts that would not', async () => {
    const { client } = await bench.plugin(keys);
    const longest = await client.encrypt(Buffer.alloc(1024 - 29), 'u');
    expect(longest.ciphertext).toHaveLength(1024);
    await expect(client.encrypt(Buffer.alloc(1024 - 28), 'u')).rejects.toThrow(refused);
    const annotations = { [kek]: Buffer.alloc(32 * 1024) };
    await expect(client.decrypt({ ...longest, annotations }, 'u')).rejects.toThrow('annotations have');
  });
});

describe('what was sealed under a local KEK', () => {
  it.each([
    ['another key id', (s: PluginCiphertext) => ({ ...s, keyId: 'in-memory-test-double/v2' })],
    ['no annotation', (s: PluginCiphertext) => ({ ...s, annotations: {} })],
    ['one more annotation', (s: PluginCiphertext) => also(s, { 'more.keyferry.dev': Buffer.from('x') })],
    ['an annotation of another name', (s: PluginCiphertext) => renamed(s)],
    [
      'a bit of the wrapped KEK turned',
      (s: PluginCiphertext) => also(s, { [kek]: turned(s.annotations[kek]) }),
    ],
    ['an empty annotation', (s: PluginCiphertext) => also(s, { [kek]: Buffer.alloc(0) })],
    ['a bit of the ciphertext turned', (s: PluginCiphertext) => ({ ...s, ciphertext: turned(s.ciphertext) })],
    ['its ciphertext cut', (s: PluginCiphertext) => ({ ...s, ciphertext: s.ciphertext.subarray(0, 20) })],
  ])('does not open with %s, be its KEK known or not', async (_, tamper) => {
    const { client } = await bench.plugin(keys);
    keys.rotate();
    keys.rotate();
    const sealed = await client.encrypt(seed, 'u');
    const cold = await bench.plugin(keys);
    for (const who of [client, cold.client]) {
      await expect(who.decrypt(tamper(sealed), 'u')).rejects.toThrow(refused);
      expect(await who.decrypt(sealed, 'u')).toEqual(seed);
    }
  });

  it('does not open with the KEK of another seal', async () => {
    const [a, b] = [await bench.plugin(keys), await bench.plugin(keys)];
    const [one, other] = [await a.client.encrypt(seed, 'u'), await b.client.encrypt(seed, 'u')];
    await expect(a.client.decrypt({ ...one, annotations: other.annotations }, 'u')).rejects.toThrow(refused);
  });
});

describe('a local KEK', () => {
  it('is replaced when it has grown old, under the same key id', async () => {
    const { client } = await bench.plugin(keys);
    const before = await client.encrypt(seed, 'u');
    bench.pass(localKek.maxAgeMs);
    const { keyId } = await client.status();
    const after = await client.encrypt(seed, 'u');
    expect(wrappedKek(after)).not.toBe(wrappedKek(before));
    expect([keyId, after.keyId]).toEqual([before.keyId, before.keyId]);
    expect(await client.decrypt(before, 'u')).toEqual(seed);
  });

  it('is replaced when it has sealed enough, while seals go on', async () => {
    const { client } = await bench.plugin(keys, { localKek: { ...localKek, maxUses: 3 } });
    const first = wrappedKek(await client.encrypt(seed, 'u'));
    for (let i = 0; i < 2; i++) expect(wrappedKek(await client.encrypt(seed, 'u'))).toBe(first);
    await until(async () => wrappedKek(await client.encrypt(seed, 'u')) !== first);
  });

  it('is replaced when the remote key was rotated, and before Status names the new version', async () => {
    const { client } = await bench.plugin(keys);
    const before = await client.encrypt(seed, 'u');
    keys.rotate();
    expect(wrappedKek(await client.encrypt(seed, 'u'))).toBe(wrappedKek(before));
    const wrapping = keys.calls.encrypt;
    const { keyId } = await client.status();
    expect(keyId).not.toBe(before.keyId);
    expect(keys.calls.encrypt).toBe(wrapping + 1);
    const after = await client.encrypt(seed, 'u');
    expect(after.keyId).toBe(keyId);
    expect(wrappedKek(after)).not.toBe(wrappedKek(before));
    expect(keys.calls.encrypt).toBe(wrapping + 1);
    expect(await client.decrypt(before, 'u')).toEqual(seed);
  });

  it('of the version before goes on when the new one cannot wrap, and Status does not name that', async () => {
    const { client } = await bench.plugin(keys);
    const before = await client.encrypt(seed, 'u');
    keys.rotate();
    const encrypt = keys.encrypt.bind(keys);
    keys.encrypt = () => encrypt(seed, { keyId: 'gone', description: '' });
    expect((await client.status()).keyId).toBe(before.keyId);
  });
});

describe('a key id', () => {
  it('that was left is not adopted again, for the API server would take what is stale for current', async () => {
    let keyId = 'a';
    const { client } = await bench.plugin({
      current: () => Promise.resolve({ keyId, description: keyId }),
      encrypt: (bytes) => Promise.resolve(Buffer.from(bytes)),
      decrypt: (bytes) => Promise.resolve(Buffer.from(bytes)),
      close: () => Promise.resolve(),
    });
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: 'a' });
    keyId = 'b';
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: 'b' });
    keyId = 'a';
    const { healthz, keyId: named } = await client.status();
    expect(named).toBe('b');
    expect(healthz).toMatch(/key id a is named again.*generation/);
  });
});

function also(sealed: PluginCiphertext, more: Record<string, Buffer>): PluginCiphertext {
  return { ...sealed, annotations: { ...sealed.annotations, ...more } };
}

function renamed(sealed: PluginCiphertext): PluginCiphertext {
  const wrapped = sealed.annotations[kek] ?? Buffer.alloc(0);
  return { ...sealed, annotations: { 'kek2.keyferry.dev': wrapped } };
}

function turned(bytes: Buffer | undefined): Buffer {
  const copy = Buffer.from(bytes ?? [0]);
  const at = copy.length - 1;
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += 500)
    results.push(...(await Promise.all(items.slice(i, i + 500).map(work))));
  return results;
}
