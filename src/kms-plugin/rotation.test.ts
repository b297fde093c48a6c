import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { KeyServiceError } from '../keys/key-service.ts';
import { keyIdOfGeneration } from '../plan/generation.ts';
import { type PluginCiphertext } from './client.ts';
import { a, b, LedBench } from './led-plugin.test-helper.ts';

const seed = randomBytes(32);
const minute = 60_000;
const refused = expect.objectContaining({ code: 'PluginRefused', retryable: false });

let bench: LedBench;

beforeEach(() => {
  bench = new LedBench();
});

afterEach(() => bench.close());

describe.each([
  ['under local KEKs', {}],
  ['by the key service itself', { localKek: undefined }],
])('a plugin that is led, sealing %s,', (_, options) => {
  it('holds its version over a rotation of the remote key, and over a restart', async () => {
    const { client, server } = await bench.led('node-1', options);
    expect((await client.status()).keyId).toBe(a);
    bench.keys.rotate();
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    await server.stop();
    const restarted = await bench.led('node-1', options);
    expect(await restarted.client.status()).toMatchObject({ healthz: 'ok', keyId: a });
    expect((await restarted.client.encrypt(seed, 'u')).keyId).toBe(a);
  });

  it('says what is announced and what is newest, and that a newer version waits, once', async () => {
    const { client, lead } = await bench.led('node-1', options);
    expect(await lead.versions()).toEqual({
      announcedKeyId: a,
      newestKeyId: a,
      newestDescription: 'version 1 of a key in memory',
      announceableKeyId: a,
    });
    bench.keys.rotate();
    expect(await lead.versions()).toEqual({
      announcedKeyId: a,
      newestKeyId: b,
      newestDescription: 'version 2 of a key in memory',
      announceableKeyId: b,
    });
    for (let i = 0; i < 3; i++) await client.status();
    expect(bench.lines.filter((line) => line.includes('there is a newer key version'))).toHaveLength(1);
  });

  it('names the version in Status and uses it in Encrypt from the answer to Announce on, and after a restart', async () => {
    const led = await bench.led('node-1', options);
    const { client, lead, server } = led;
    await bench.rotate(led);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(b);
    expect((await client.status()).keyId).toBe(b);
    expect(await lead.announce(b)).toBe(b);
    await server.stop();
    expect((await (await bench.led('node-1', options)).client.status()).keyId).toBe(b);
  });

  it('seals under the newest version what a node opens that still announces the old one', async () => {
    const [one, other] = [await bench.led('node-1', options), await bench.led('node-2', options)];
    for (const { client } of [one, other]) expect((await client.status()).keyId).toBe(a);
    bench.keys.rotate();
    const sealed = await one.lead.seal(b, seed, 'uid-of-seal');
    expect(sealed.keyId).toBe(b);
    for (const { client } of [one, other]) {
      expect(await client.decrypt(sealed, 'u')).toEqual(seed);
      expect((await client.status()).keyId).toBe(a);
    }
    expect((await other.lead.seal(a, seed, 'u')).keyId).toBe(a);
    expect(bench.lines.join('')).toContain('uid-of-seal');
  });

  it('does not go back to a key id that was left, not after a restart either, but to its version in another generation', async () => {
    const led = await bench.led('node-1', options);
    const sealed: PluginCiphertext[] = [await led.client.encrypt(seed, 'u')];
    await bench.rotate(led);
    sealed.push(await led.client.encrypt(seed, 'u'));
    await led.server.stop();
    const { client, lead } = await bench.led('node-1', options);
    for (const call of [lead.announce(a), lead.seal(a, seed, 'u')]) {
      await expect(call).rejects.toThrow(`announce ${a};generation=2 instead`);
    }
    expect((await client.status()).keyId).toBe(b);
    const again = keyIdOfGeneration(a, 2);
    expect((await lead.versions(a)).announceableKeyId).toBe(again);
    sealed.push(await lead.seal(again, seed, 'u'));
    expect(await lead.announce(again)).toBe(again);
    expect(bench.lines.join('')).not.toContain('though nobody led it');
    expect((await client.status()).keyId).toBe(again);
    sealed.push(await client.encrypt(seed, 'u'));
    expect(sealed.map(({ keyId }) => keyId)).toEqual([a, b, again, again]);
    for (const one of sealed) expect(await client.decrypt(one, 'u')).toEqual(seed);
    // And forward again: B was left, too.
    expect(await lead.versions()).toMatchObject({
      announcedKeyId: again,
      newestKeyId: b,
      announceableKeyId: `${b};generation=2`,
    });
    await expect(lead.announce(b)).rejects.toThrow(refused);
    expect(await lead.announce(`${b};generation=2`)).toBe(`${b};generation=2`);
    await expect(lead.announce(again)).rejects.toThrow(refused);
    expect((await lead.versions(a)).announceableKeyId).toBe(`${a};generation=3`);
  });

  it('announces the newest version when the key service no longer encrypts under the one held, and says so', async () => {
    const led = await bench.led('node-1', options);
    expect((await led.client.status()).keyId).toBe(a);
    bench.keys.rotate();
    bench.keys.retire(a);
    await led.server.stop();
    const { client, server } = await bench.led('node-1', options);
    await client.status();
    // Without a local KEK, the first Encrypt finds out; it is repeated after the next Status.
    await client.encrypt(seed, 'u').catch(() => undefined);
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: b });
    expect((await client.encrypt(seed, 'u')).keyId).toBe(b);
    const warnings = bench.lines.filter((line) => line.includes('though nobody led it'));
    expect(warnings.map((line) => (JSON.parse(line) as { level: number }).level)).toEqual([40]);
    await server.stop();
    const restarted = await bench.led('node-1', options);
    expect((await restarted.client.status()).keyId).toBe(b);
    await expect(restarted.lead.announce(a)).rejects.toThrow(refused);
  });

  it('seals nothing under a held version that is lost: it would not open after a restart', async () => {
    const { client, server } = await bench.led('node-1', options);
    await client.status();
    bench.keys.rotate();
    await client.status();
    bench.keys.lose(a);
    bench.pass(minute);
    await client.status();
    await client.encrypt(seed, 'u').catch(() => undefined);
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: b });
    const sealed = await client.encrypt(seed, 'u');
    await server.stop();
    expect(await (await bench.led('node-1', options)).client.decrypt(sealed, 'u')).toEqual(seed);
  });

  it('asks for the newest version, and after the held one, once a minute each while it waits', async () => {
    const { client } = await bench.led('node-1', options);
    await client.status();
    bench.keys.rotate();
    await client.status();
    bench.pass(minute);
    const { encrypt, decrypt } = bench.keys.calls;
    for (let i = 0; i < 5; i++) expect((await client.status()).keyId).toBe(a);
    expect(bench.keys.calls.encrypt).toBe(encrypt);
    expect(bench.keys.calls.decrypt).toBeLessThanOrEqual(decrypt + 1);
  });

  it('goes on holding its version after a refusal that passed', async () => {
    const { client } = await bench.led('node-1', options);
    await client.status();
    const encrypt = bench.keys.encrypt.bind(bench.keys);
    bench.keys.encrypt = () => Promise.reject(new KeyServiceError('wrong-key', 'Test', 'refused', 'wait'));
    await client.encrypt(seed, 'u').catch(() => undefined);
    bench.keys.encrypt = encrypt;
    await client.status();
    bench.keys.rotate();
    expect((await client.status()).keyId).toBe(a);
  });
});

describe('a plugin that is not led', () => {
  it('says so to who would lead it, with the way to change that', async () => {
    const { endpoint } = await bench.plugin(bench.keys);
    const lead = bench.leader(endpoint);
    for (const call of [lead.versions(), lead.seal(a, seed, 'u'), lead.announce(a)]) {
      await expect(call).rejects.toThrow(
        expect.objectContaining({
          code: 'PluginNotLed',
          retryable: false,
          remedy: expect.stringContaining('rotation.ledger'),
        }),
      );
    }
  });
});
