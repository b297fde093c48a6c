import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { KeyServiceError } from '../keys/key-service.ts';
import { KmsPluginClient } from './client.ts';
import { localKek, memory, PluginBench } from './plugin.test-helper.ts';
import { type KmsPluginServer } from './server.ts';

const minute = 60_000;
const seed = randomBytes(32);

let bench: PluginBench;
let keys: InMemoryTestDoubleKeyService;
let server: KmsPluginServer;
let client: KmsPluginClient;

beforeEach(async () => {
  bench = new PluginBench();
  keys = new InMemoryTestDoubleKeyService();
  ({ server, client } = await bench.plugin(keys));
});

afterEach(() => bench.close());

describe('while the key service is away, a plugin', () => {
  it('seals and opens, and answers "ok", until its grace ends', async () => {
    const before = await client.encrypt(seed, 'u');
    keys.failWith('unavailable', 'Vault is sealed');
    bench.pass(minute);
    for (let passed = 1; passed < 60; passed++) {
      expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: before.keyId });
      expect(server.key.state.report()).toMatchObject({
        state: 'degraded',
        reason: expect.stringContaining('Vault is sealed'),
        graceLeftMs: (60 - passed) * minute,
      });
      const sealed = await client.encrypt(seed, 'u');
      expect(await client.decrypt(sealed, 'u')).toEqual(seed);
      bench.pass(minute);
    }
    expect(await client.decrypt(before, 'u')).toEqual(seed);
  });

  it('tells the truth when its grace is over, and seals no more, and opens what it has', async () => {
    const before = await client.encrypt(seed, 'u');
    keys.failWith('unavailable', 'Vault is sealed');
    bench.pass(memory.graceMs);
    expect(await client.status()).toMatchObject({
      healthz: 'Vault is sealed (end the test)',
      keyId: before.keyId,
    });
    expect(server.key.state.report()).toMatchObject({ state: 'failing', graceLeftMs: 0 });
    await expect(client.encrypt(seed, 'u')).rejects.toThrow('Vault is sealed');
    expect(await client.decrypt(before, 'u')).toEqual(seed);
  });

  it('does not open what it never opened, and says why', async () => {
    const other = await bench.plugin(keys);
    const unknown = await other.client.encrypt(seed, 'u');
    await client.status();
    keys.failWith('unavailable', 'Vault is sealed');
    await expect(client.decrypt(unknown, 'u')).rejects.toThrow('Vault is sealed');
    keys.failWith();
    expect(await client.decrypt(unknown, 'u')).toEqual(seed);
  });

  it('recovers by itself at the next Status, with the whole grace again', async () => {
    await client.status();
    keys.failWith('timeout');
    bench.pass(memory.graceMs + minute);
    expect((await client.status()).healthz).not.toBe('ok');
    keys.failWith();
    bench.pass(10_000);
    expect((await client.status()).healthz).toBe('ok');
    expect(server.key.state.report()).toMatchObject({
      state: 'ok',
      graceLeftMs: memory.graceMs,
    });
    await client.encrypt(seed, 'u');
  });

  it('recovers at the next Encrypt, too', async () => {
    await client.status();
    keys.failWith('unavailable');
    bench.pass(memory.graceMs + minute);
    await client.status();
    keys.failWith();
    bench.pass(10_000);
    expect(await client.decrypt(await client.encrypt(seed, 'u'), 'u')).toEqual(seed);
  });

  it('goes on under a KEK that should be replaced, for the grace', async () => {
    const before = await client.encrypt(seed, 'u');
    bench.pass(localKek.maxAgeMs - minute);
    await client.status();
    keys.failWith('unavailable');
    bench.pass(2 * minute);
    expect((await client.status()).healthz).toBe('ok');
    const during = await client.encrypt(seed, 'u');
    expect(during.annotations).toEqual(before.annotations);
    keys.failWith();
    bench.pass(minute);
    await client.status();
    expect((await client.encrypt(seed, 'u')).annotations).not.toEqual(before.annotations);
  });

  it('has no grace when it never saw its key', async () => {
    keys.failWith('unavailable', 'Vault is sealed');
    const started = await bench.plugin(keys);
    expect(await started.client.status()).toMatchObject({
      healthz: expect.stringContaining('Vault is sealed'),
      keyId: '',
    });
  });

  it('is degraded as well when the service names its key, but does not wrap the KEK that is due', async () => {
    await client.status();
    bench.pass(localKek.maxAgeMs - minute);
    await client.status();
    const encrypt = keys.encrypt.bind(keys);
    keys.encrypt = () => Promise.reject(new KeyServiceError('timeout', 'T', 'too slow', 'wait'));
    bench.pass(minute);
    expect((await client.status()).healthz).toBe('ok');
    expect(server.key.state.report()).toMatchObject({ state: 'degraded', reason: 'too slow (wait)' });
    keys.encrypt = encrypt;
    bench.pass(minute);
    await client.status();
    expect(server.key.state.report().state).toBe('ok');
  });
});

describe('a caller that hangs up', () => {
  it('is no sign of an outage to the others', async () => {
    const direct = await bench.plugin(keys, { localKek: undefined });
    await direct.client.status();
    const release = keys.hold();
    const hasty = new KmsPluginClient(`unix://${bench.folder}/2.sock`, { timeoutMs: 1_000 });
    bench.atEnd(() => hasty.close());
    await hasty.status().catch(() => undefined);
    expect(direct.server.key.state.report().state).toBe('ok');
    release();
    expect((await direct.client.status()).healthz).toBe('ok');
  });
});

describe('a key that was taken away on purpose', () => {
  it.each(['denied', 'not-found'] as const)('(%s) has no grace', async (kind) => {
    const before = await client.encrypt(seed, 'u');
    keys.failWith(kind, 'the key is disabled');
    bench.pass(minute);
    expect((await client.status()).healthz).toContain('the key is disabled');
    await expect(client.encrypt(seed, 'u')).rejects.toThrow('the key is disabled');
    // What was unwrapped goes on opening until its time is over.
    expect(await client.decrypt(before, 'u')).toEqual(seed);
    bench.pass(memory.ttlMs);
    await expect(client.decrypt(before, 'u')).rejects.toThrow('the key is disabled');
    keys.failWith();
    expect(await client.decrypt(before, 'u')).toEqual(seed);
    expect((await client.status()).healthz).toBe('ok');
  });
});

describe('an idle plugin', () => {
  it('calls the key service no more often than Status is asked, and at most every 5 s while that fails', async () => {
    await client.status();
    const wrapped = { encrypt: keys.calls.encrypt, decrypt: keys.calls.decrypt };
    for (let i = 0; i < 20; i++) await client.status();
    expect(keys.calls).toMatchObject(wrapped);
    const asked = keys.calls.current;
    keys.failWith('unavailable');
    for (let i = 0; i < 20; i++) await client.status();
    expect(keys.calls).toEqual({ ...wrapped, current: asked + 1 });
  });
});
