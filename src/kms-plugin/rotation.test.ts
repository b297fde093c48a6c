import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { KeyferryError } from '../errors.ts';
import { withGeneration } from '../keys/generation.ts';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { KeyServiceError, type KeyService } from '../keys/key-service.ts';
import { type KmsPluginClient, type PluginCiphertext } from './client.ts';
import { Ledger } from './ledger.ts';
import { PluginBench, until } from './plugin.test-helper.ts';
import { RotationClient } from './rotation-client.ts';
import { type KmsPluginServer } from './server.ts';

const seed = randomBytes(32);
const [a, b, c] = [1, 2, 3].map((version) => `in-memory-test-double/v${version}`) as [string, string, string];
const refused = expect.objectContaining({ code: 'PluginRefused', retryable: false });

let bench: PluginBench;
let keys: InMemoryTestDoubleKeyService;

beforeEach(() => {
  bench = new PluginBench();
  keys = new InMemoryTestDoubleKeyService();
});

afterEach(async () => {
  jest.restoreAllMocks();
  await bench.close();
});

interface LedPlugin {
  readonly server: KmsPluginServer;
  readonly client: KmsPluginClient;
  readonly lead: RotationClient;
}

/** A plugin of one node: another one with the same node's name is that plugin after a restart. */
async function plugin(
  node = 'node-1',
  options: Parameters<PluginBench['plugin']>[1] & { readonly service?: KeyService } = {},
): Promise<LedPlugin> {
  const ledger = await Ledger.open(ledgerOf(node));
  const { server, client, endpoint } = await bench.plugin(options.service ?? withGeneration(keys, 1), {
    ledger,
    ...options,
  });
  const lead = new RotationClient(endpoint);
  bench.atEnd(() => lead.close());
  return { server, client, lead };
}

function ledgerOf(node: string): string {
  mkdirSync(join(bench.folder, node), { recursive: true });
  return join(bench.folder, node, 'ledger.json');
}

/** From A, which a Status has named, to B. */
async function rotated({ client, lead }: LedPlugin): Promise<void> {
  expect((await client.status()).keyId).toBe(a);
  keys.rotate();
  expect(await lead.announce(b)).toBe(b);
}

describe.each([
  ['under local KEKs', {}],
  ['by the key service itself', { localKek: undefined }],
])('a plugin that is led, sealing %s,', (_, options) => {
  it('holds its version over a rotation of the remote key, and over a restart', async () => {
    const { client, server } = await plugin('node-1', options);
    expect((await client.status()).keyId).toBe(a);
    keys.rotate();
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    await server.stop();
    const restarted = await plugin('node-1', options);
    expect(await restarted.client.status()).toMatchObject({ healthz: 'ok', keyId: a });
    expect((await restarted.client.encrypt(seed, 'u')).keyId).toBe(a);
  });

  it('says what is announced and what is newest, and that a newer version waits, once', async () => {
    const { client, lead } = await plugin('node-1', options);
    expect(await lead.versions()).toEqual({
      announcedKeyId: a,
      newestKeyId: a,
      newestDescription: 'version 1 of a key in memory',
      announceableKeyId: a,
    });
    keys.rotate();
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
    const led = await plugin('node-1', options);
    const { client, lead, server } = led;
    await rotated(led);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(b);
    expect((await client.status()).keyId).toBe(b);
    expect(await lead.announce(b)).toBe(b);
    await server.stop();
    expect((await (await plugin('node-1', options)).client.status()).keyId).toBe(b);
  });

  it('seals under the newest version what a node opens that still announces the old one', async () => {
    const [one, other] = [await plugin('node-1', options), await plugin('node-2', options)];
    for (const { client } of [one, other]) expect((await client.status()).keyId).toBe(a);
    keys.rotate();
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
    const led = await plugin('node-1', options);
    const sealed: PluginCiphertext[] = [await led.client.encrypt(seed, 'u')];
    await rotated(led);
    sealed.push(await led.client.encrypt(seed, 'u'));
    await led.server.stop();
    const { client, lead } = await plugin('node-1', options);
    for (const call of [lead.announce(a), lead.seal(a, seed, 'u')]) {
      await expect(call).rejects.toThrow(`announce ${a};generation=2 instead`);
    }
    expect((await client.status()).keyId).toBe(b);
    const again = `${a};generation=2`;
    expect((await lead.versions(a)).announceableKeyId).toBe(again);
    sealed.push(await lead.seal(again, seed, 'u'));
    expect(await lead.announce(again)).toBe(again);
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
    const led = await plugin('node-1', options);
    expect((await led.client.status()).keyId).toBe(a);
    keys.rotate();
    keys.retire(a);
    await led.server.stop();
    const { client, server } = await plugin('node-1', options);
    await client.status();
    // Without a local KEK, the first Encrypt finds out; it is repeated after the next Status.
    await client.encrypt(seed, 'u').catch(() => undefined);
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: b });
    expect((await client.encrypt(seed, 'u')).keyId).toBe(b);
    const warnings = bench.lines.filter((line) => line.includes('though nobody led it'));
    expect(warnings.map((line) => (JSON.parse(line) as { level: number }).level)).toEqual([40]);
    await server.stop();
    const restarted = await plugin('node-1', options);
    expect((await restarted.client.status()).keyId).toBe(b);
    await expect(restarted.lead.announce(a)).rejects.toThrow(refused);
  });
});

describe('Announce', () => {
  /** The key service, but that what it encrypts waits for `open`. */
  function gated(): { service: KeyService; waiting: () => number; open: () => void } {
    const inner = withGeneration(keys, 1);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let waiting = 0;
    const encrypt: KeyService['encrypt'] = async (plaintext, version, signal) => {
      if (armed) {
        waiting += 1;
        await gate;
      }
      return await inner.encrypt(plaintext, version, signal);
    };
    let armed = false;
    return {
      service: {
        ...inner,
        encrypt,
        current: async (signal) => {
          armed ||= (await keys.current()).keyId === b;
          return await inner.current(signal);
        },
      },
      waiting: () => waiting,
      open,
    };
  }

  it('leaves an Encrypt that is under way with the version it began with', async () => {
    const { service, waiting, open } = gated();
    const { client, lead } = await plugin('node-1', { localKek: undefined, service });
    await client.status();
    keys.rotate();
    await client.status();
    const encrypting = client.encrypt(seed, 'u');
    await until(() => waiting() === 1);
    expect(await lead.announce(b)).toBe(b);
    expect((await client.status()).keyId).toBe(b);
    open();
    const sealed = await encrypting;
    expect(sealed.keyId).toBe(a);
    expect(await client.decrypt(sealed, 'u')).toEqual(seed);
  });

  it('has everything go on under the old version until the new local KEK is there', async () => {
    const { service, waiting, open } = gated();
    const { client, lead } = await plugin('node-1', { service });
    await client.status();
    keys.rotate();
    const announcing = lead.announce(b);
    await until(() => waiting() === 1);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    expect(readFileSync(ledgerOf('node-1'), 'utf8')).not.toContain(b);
    const asked = keys.calls.current;
    const meanwhile = client.status();
    await until(() => keys.calls.current > asked);
    open();
    expect(await announcing).toBe(b);
    await meanwhile;
    expect((await client.encrypt(seed, 'u')).keyId).toBe(b);
    expect((await client.status()).keyId).toBe(b);
    expect((await Ledger.open(ledgerOf('node-1'))).entry).toMatchObject({
      announced: { keyId: b },
      left: [a],
    });
  });

  it.each(['denied', 'timeout', 'wrong-key'] as const)(
    'changes nothing when the new local KEK is not wrapped (%s)',
    async (kind) => {
      const { client, lead, server } = await plugin();
      await client.status();
      const before = readFileSync(ledgerOf('node-1'), 'utf8');
      keys.rotate();
      const encrypt = keys.encrypt.bind(keys);
      keys.encrypt = () => Promise.reject(new KeyServiceError(kind, 'Test', 'not wrapped', 'end the test'));
      await expect(lead.announce(b)).rejects.toThrow('not wrapped');
      expect(readFileSync(ledgerOf('node-1'), 'utf8')).toBe(before);
      expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });
      expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
      keys.encrypt = encrypt;
      await server.stop();
      expect((await (await plugin()).client.status()).keyId).toBe(a);
    },
  );

  it.each([
    ['under a local KEK', {}],
    ['by the key service itself', { localKek: undefined }],
  ])('tells nobody of a version that the ledger did not take, sealing %s', async (_, options) => {
    const { client, lead, server } = await plugin('node-1', options);
    await client.status();
    keys.rotate();
    const ledger = ledgerOf('node-1');
    const before = readFileSync(ledger, 'utf8');
    // Something that isn't a file stands where the new ledger is written first.
    const inTheWay = join(bench.folder, 'node-1', '.ledger.json.keyferry-new');
    mkdirSync(join(inTheWay, 'x'), { recursive: true });
    await expect(lead.announce(b)).rejects.toThrow(
      expect.objectContaining({ code: 'UnavailablePlugin', message: expect.stringContaining('ledger') }),
    );
    expect(readFileSync(ledger, 'utf8')).toBe(before);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });
    rmSync(inTheWay, { recursive: true });
    expect(await lead.announce(b)).toBe(b);
    await server.stop();
  });

  it('tells nobody of a version that the disk did not keep', async () => {
    const { client, lead } = await plugin();
    await client.status();
    keys.rotate();
    const before = readFileSync(ledgerOf('node-1'), 'utf8');
    const file = await open(ledgerOf('node-1'));
    const sync = jest.spyOn(Object.getPrototypeOf(file) as typeof file, 'sync');
    await file.close();
    sync.mockRejectedValueOnce(Object.assign(new Error('EIO'), { code: 'EIO' }));
    await expect(lead.announce(b)).rejects.toThrow("can't be written (EIO)");
    expect(readFileSync(ledgerOf('node-1'), 'utf8')).toBe(before);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    sync.mockClear();
    expect(await lead.announce(b)).toBe(b);
    // The file, and the folder that names it.
    expect(sync).toHaveBeenCalledTimes(2);
  });

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
    const { client, lead } = await plugin();
    await client.status();
    keys.rotate();
    await expect(lead.announce(keyId)).rejects.toThrow(refused);
    await expect(lead.seal(keyId, seed, 'u')).rejects.toThrow(refused);
    if (keyId !== '') expect((await lead.versions(keyId)).announceableKeyId).not.toBe(keyId);
    expect((await client.status()).keyId).toBe(a);
  });

  it('takes a plugin that stayed behind to the generation that the others need', async () => {
    const [one, other] = [await plugin('node-1'), await plugin('node-2')];
    expect((await other.client.status()).keyId).toBe(a);
    await rotated(one);
    // Back: node 1 has left A, node 2 never did.
    expect((await one.lead.versions(a)).announceableKeyId).toBe(`${a};generation=2`);
    expect((await other.lead.versions(a)).announceableKeyId).toBe(a);
    for (const { lead } of [one, other])
      expect(await lead.announce(`${a};generation=2`)).toBe(`${a};generation=2`);
    // Forward: node 1 has left B, node 2 never announced it.
    expect((await one.lead.versions()).announceableKeyId).toBe(`${b};generation=2`);
    expect((await other.lead.versions()).announceableKeyId).toBe(b);
    for (const { lead } of [one, other])
      expect(await lead.announce(`${b};generation=2`)).toBe(`${b};generation=2`);
    const sealed = await one.client.encrypt(seed, 'u');
    expect(await other.client.decrypt(sealed, 'u')).toEqual(seed);
  });

  it('holds a generation that was raised in the configuration, until it is announced', async () => {
    const { server, client } = await plugin();
    await client.status();
    await server.stop();
    const raised = await plugin('node-1', { service: withGeneration(keys, 2) });
    expect((await raised.client.status()).keyId).toBe(a);
    const again = `${a};generation=2`;
    expect(await raised.lead.versions()).toMatchObject({ newestKeyId: again, announceableKeyId: again });
    expect(await raised.lead.announce(again)).toBe(again);
    // A version that wasn't there before begins with the generation that is configured.
    keys.rotate();
    await expect(raised.lead.announce(b)).rejects.toThrow(refused);
    expect(await raised.lead.announce(`${b};generation=2`)).toBe(`${b};generation=2`);
  });

  it('is refused once the plugin stops, when its ledger may be read by the next one', async () => {
    const led = await plugin();
    await led.client.status();
    keys.rotate();
    const stopped = led.server.stop();
    await expect(led.lead.announce(b)).rejects.toThrow(KeyferryError);
    await stopped;
    expect(readFileSync(ledgerOf('node-1'), 'utf8')).not.toContain(b);
  });
});

describe('a ledger', () => {
  it('is of its owner alone, in whole, and alone in its folder', async () => {
    const led = await plugin();
    await rotated(led);
    const ledger = ledgerOf('node-1');
    expect(JSON.parse(readFileSync(ledger, 'utf8'))).toEqual({
      announced: { keyId: b, description: 'version 2 of a key in memory' },
      left: [a],
    });
    expect(statSync(ledger).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(bench.folder, 'node-1'))).toEqual(['ledger.json']);
  });

  it('keeps of each version that was left the highest generation only', async () => {
    const { client, lead } = await plugin();
    await client.status();
    keys.rotate();
    for (let i = 0; i < 3; i++) {
      for (const keyId of [a, b]) {
        const { announceableKeyId = '' } = await lead.versions(keyId);
        await lead.announce(announceableKeyId);
      }
    }
    const { announced, left } = (await Ledger.open(ledgerOf('node-1'))).entry;
    expect([announced?.keyId, left]).toEqual([
      `${b};generation=3`,
      [`${b};generation=2`, `${a};generation=3`],
    ]);
  });

  it.each([
    ['is cut off', '{"announced": {"keyId": "a'],
    ['is empty', ''],
    ['holds something else', '{"announced": {"keyId": "a", "description": ""}, "left": [], "more": 1}'],
    ['announces nothing', '{"left": []}'],
    ['announces what it left', '{"announced": {"keyId": "a", "description": ""}, "left": ["a"]}'],
    ['has an empty key id', '{"announced": {"keyId": "", "description": ""}, "left": []}'],
  ])('that %s is refused, and left as it is', async (_, text) => {
    const path = ledgerOf('node-1');
    writeFileSync(path, text);
    await expect(Ledger.open(path)).rejects.toThrow(
      expect.objectContaining({ code: 'RefusedLedger', remedy: expect.stringContaining('another node') }),
    );
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('is refused where it can not be: in a folder that is not there, or in the place of one', async () => {
    for (const path of [join(bench.folder, 'none', 'ledger.json'), bench.folder]) {
      await expect(Ledger.open(path)).rejects.toThrow(expect.objectContaining({ code: 'RefusedLedger' }));
    }
  });
});

describe('a plugin that is not led', () => {
  it('says so to who would lead it, with the way to change that', async () => {
    const { endpoint } = await bench.plugin(keys);
    const lead = new RotationClient(endpoint);
    bench.atEnd(() => lead.close());
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
