import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { KeyferryError } from '../errors.ts';
import { withGeneration } from '../keys/generation.ts';
import { KeyServiceError, type KeyService } from '../keys/key-service.ts';
import { keyIdOfGeneration } from '../plan/generation.ts';
import { a, b, c, LedBench } from './led-plugin.test-helper.ts';
import { Ledger } from './ledger.ts';
import { until } from './plugin.test-helper.ts';

const seed = randomBytes(32);
const refused = expect.objectContaining({ code: 'PluginRefused', retryable: false });

let bench: LedBench;

beforeEach(() => {
  bench = new LedBench();
});

afterEach(() => bench.close());

describe('Announce', () => {
  /** The key service, but that what it is to encrypt waits from `hold` on, until `release`. */
  function gated(): {
    service: KeyService;
    hold: () => void;
    waiting: () => number;
    release: () => void;
  } {
    const inner = withGeneration(bench.keys, 1);
    let release = (): void => undefined;
    let gate: Promise<void> | undefined;
    let waiting = 0;
    return {
      service: {
        ...inner,
        encrypt: async (plaintext, version, signal) => {
          if (gate !== undefined) waiting += 1;
          await gate;
          return await inner.encrypt(plaintext, version, signal);
        },
      },
      hold: () => {
        gate = new Promise((resolve) => (release = resolve));
      },
      waiting: () => waiting,
      release: () => release(),
    };
  }

  it('leaves an Encrypt that is under way with the version it began with', async () => {
    const { service, hold, waiting, release } = gated();
    const { client, lead } = await bench.led('node-1', { localKek: undefined, service });
    await client.status();
    bench.keys.rotate();
    hold();
    const encrypting = client.encrypt(seed, 'u');
    await until(() => waiting() === 1);
    expect(await lead.announce(b)).toBe(b);
    expect((await client.status()).keyId).toBe(b);
    release();
    const sealed = await encrypting;
    expect(sealed.keyId).toBe(a);
    expect(await client.decrypt(sealed, 'u')).toEqual(seed);
  });

  it('has everything go on under the old version until the new local KEK is there', async () => {
    const { service, hold, waiting, release } = gated();
    const { client, lead } = await bench.led('node-1', { service });
    await client.status();
    bench.keys.rotate();
    hold();
    const announcing = lead.announce(b);
    await until(() => waiting() === 1);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    expect(readFileSync(bench.ledgerOf('node-1'), 'utf8')).not.toContain(b);
    const asked = bench.keys.calls.current;
    const meanwhile = client.status();
    await until(() => bench.keys.calls.current > asked);
    release();
    expect(await announcing).toBe(b);
    await meanwhile;
    expect((await client.encrypt(seed, 'u')).keyId).toBe(b);
    expect((await client.status()).keyId).toBe(b);
    expect((await Ledger.open(bench.ledgerOf('node-1'))).entry).toMatchObject({
      announced: { keyId: b },
      left: [a],
    });
  });

  it.each(['denied', 'timeout', 'wrong-key'] as const)(
    'changes nothing when the new local KEK is not wrapped (%s)',
    async (kind) => {
      const { client, lead, server } = await bench.led();
      await client.status();
      const before = readFileSync(bench.ledgerOf('node-1'), 'utf8');
      bench.keys.rotate();
      const encrypt = bench.keys.encrypt.bind(bench.keys);
      bench.keys.encrypt = () =>
        Promise.reject(new KeyServiceError(kind, 'Test', 'not wrapped', 'end the test'));
      await expect(lead.announce(b)).rejects.toThrow('not wrapped');
      expect(readFileSync(bench.ledgerOf('node-1'), 'utf8')).toBe(before);
      expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });
      expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
      bench.keys.encrypt = encrypt;
      await server.stop();
      expect((await (await bench.led()).client.status()).keyId).toBe(a);
    },
  );

  it.each([
    ['nothing', ''],
    ['another key', 'another/v1'],
    ['a version that is not there', c],
    ['a generation of a version that is not there', `${c};generation=2`],
    ['a first generation by another name', `${b};generation=1`],
    ['a generation of a generation', `${b};generation=2;generation=3`],
    ['no number', `${b};generation=x`],
    ['a number by another name', `${b};generation=02`],
    ['more than a key id holds', 'x'.repeat(2_000)],
  ])('refuses %s', async (_, keyId) => {
    const { client, lead } = await bench.led();
    await client.status();
    bench.keys.rotate();
    await expect(lead.announce(keyId)).rejects.toThrow(refused);
    await expect(lead.seal(keyId, seed, 'u')).rejects.toThrow(refused);
    if (keyId !== '') expect((await lead.versions(keyId)).announceableKeyId).not.toBe(keyId);
    expect((await client.status()).keyId).toBe(a);
  });

  it('takes a plugin that stayed behind to the generation that the others need', async () => {
    const [one, other] = [await bench.led('node-1'), await bench.led('node-2')];
    expect((await other.client.status()).keyId).toBe(a);
    await bench.rotate(one);
    // Back: node 1 has left A, node 2 never did.
    expect((await one.lead.versions(a)).announceableKeyId).toBe(keyIdOfGeneration(a, 2));
    expect((await other.lead.versions(a)).announceableKeyId).toBe(a);
    for (const { lead } of [one, other])
      expect(await lead.announce(keyIdOfGeneration(a, 2))).toBe(keyIdOfGeneration(a, 2));
    // Forward: node 1 has left B, node 2 never announced it.
    expect((await one.lead.versions()).announceableKeyId).toBe(keyIdOfGeneration(b, 2));
    expect((await other.lead.versions()).announceableKeyId).toBe(b);
    for (const { lead } of [one, other])
      expect(await lead.announce(keyIdOfGeneration(b, 2))).toBe(keyIdOfGeneration(b, 2));
    const sealed = await one.client.encrypt(seed, 'u');
    expect(await other.client.decrypt(sealed, 'u')).toEqual(seed);
  });

  it('has nothing to go to from the newest version in a higher generation', async () => {
    const led = await bench.led();
    await led.client.status();
    bench.keys.rotate();
    for (const keyId of [b, keyIdOfGeneration(a, 2), keyIdOfGeneration(b, 2)]) await led.lead.announce(keyId);
    const again = keyIdOfGeneration(b, 2);
    expect(await led.lead.versions()).toMatchObject({
      announcedKeyId: again,
      newestKeyId: again,
      announceableKeyId: again,
    });
    await led.client.status();
    expect(led.server.key.rotation?.newestKeyId).toBe(again);
  });

  it('holds a generation that was raised in the configuration, until it is announced', async () => {
    const { server, client } = await bench.led();
    await client.status();
    await server.stop();
    const raised = await bench.led('node-1', { service: withGeneration(bench.keys, 2) });
    expect((await raised.client.status()).keyId).toBe(a);
    const again = keyIdOfGeneration(a, 2);
    expect(await raised.lead.versions()).toMatchObject({ newestKeyId: again, announceableKeyId: again });
    expect(await raised.lead.announce(again)).toBe(again);
    // A version that wasn't there before begins with the generation that is configured.
    bench.keys.rotate();
    await expect(raised.lead.announce(b)).rejects.toThrow(refused);
    expect(await raised.lead.announce(keyIdOfGeneration(b, 2))).toBe(keyIdOfGeneration(b, 2));
  });

  it('is refused once the plugin stops, when its ledger may be read by the next one', async () => {
    const led = await bench.led();
    await led.client.status();
    bench.keys.rotate();
    const stopped = led.server.stop();
    await expect(led.lead.announce(b)).rejects.toThrow(KeyferryError);
    await stopped;
    expect(readFileSync(bench.ledgerOf('node-1'), 'utf8')).not.toContain(b);
  });
});
