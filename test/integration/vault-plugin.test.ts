import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { probePlugin } from '../../src/kms-plugin/probe.ts';
import { KmsPluginServer } from '../../src/kms-plugin/server.ts';
import { silent, VaultAlone } from '../support/vault-alone.ts';

const seed = Buffer.from('a seed that nobody may ever see.');
let vault: VaultAlone;

beforeAll(async () => {
  vault = await VaultAlone.up();
}, 600_000);

afterAll(() => vault.down(), 60_000);

beforeEach(() => vault.newKey());

afterEach(async () => {
  jest.restoreAllMocks();
  await vault.closeServices();
});

/** What a service remembers of its key is a minute older from now on. */
function letAMinutePass(): void {
  const later = Date.now() + 61_000 - performance.now();
  jest.spyOn(Date, 'now').mockImplementation(() => later + performance.now());
}

describe('a plugin over Vault', () => {
  let folder: string;
  let endpoint: string;
  let server: KmsPluginServer;
  let client: KmsPluginClient;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kf-'));
    endpoint = `unix://${folder}/p.sock`;
    server = await KmsPluginServer.start(`${folder}/p.sock`, vault.service(await vault.tokenFile()), silent);
    client = new KmsPluginClient(endpoint);
  });

  afterEach(async () => {
    client.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is fit by the probe', async () => {
    expect((await probePlugin(endpoint)).problems).toEqual([]);
  });

  it("answers within its caller's deadline while Vault is down or frozen, says why, and recovers", async () => {
    const sealed = await client.encrypt(seed, 'u');
    for (const [take, giveBack] of [
      [() => vault.signal('SIGSTOP'), () => vault.signal('SIGCONT')],
      [() => vault.stop(), () => vault.start()],
    ] as const) {
      await take();
      const began = performance.now();
      await expect(client.decrypt(sealed, 'u')).rejects.toThrow(/Vault/);
      letAMinutePass();
      expect((await client.status()).healthz).toMatch(/Vault|the key service did not answer/);
      expect(performance.now() - began).toBeLessThan(6_000);
      await giveBack();
      letAMinutePass();
      expect(await client.decrypt(sealed, 'u')).toEqual(seed);
      expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: sealed.keyId });
    }
  }, 60_000);

  it('says that Vault is sealed', async () => {
    const sealed = await client.encrypt(seed, 'u');
    await vault.admin.expect('PUT', '/v1/sys/seal');
    await expect(client.decrypt(sealed, 'u')).rejects.toThrow(/sealed/);
    await vault.stop();
    await vault.start();
    expect(await client.decrypt(sealed, 'u')).toEqual(seed);
  }, 60_000);
});

describe('a plugin over Vault with a local KEK', () => {
  const protection = { localKek: { maxAgeMs: 3_600_000, maxUses: 1_000_000 } };
  let folder: string;
  const made: { client: KmsPluginClient; server: KmsPluginServer }[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kf-'));
  });

  afterEach(async () => {
    for (const { client, server } of made.splice(0)) {
      client.close();
      await server.stop();
    }
    rmSync(folder, { recursive: true, force: true });
  });

  async function plugin(name: string): Promise<KmsPluginClient> {
    const service = vault.service(await vault.tokenFile());
    const server = await KmsPluginServer.start(`${folder}/${name}`, service, silent, protection);
    const client = new KmsPluginClient(`unix://${folder}/${name}`);
    made.push({ client, server });
    return client;
  }

  it('seals, opens and is well while Vault is down, and afterwards without anyone doing anything', async () => {
    const client = await plugin('a');
    const cold = await plugin('b');
    const before = await client.encrypt(seed, 'u');
    await vault.stop();
    letAMinutePass();
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: before.keyId });
    const during = await client.encrypt(seed, 'u');
    for (const sealed of [before, during]) expect(await client.decrypt(sealed, 'u')).toEqual(seed);
    // One that was not asked before has nothing to go on with, and says so.
    expect((await cold.status()).healthz).toMatch(/Vault|the key service did not answer/);
    await expect(cold.decrypt(during, 'u')).rejects.toThrow(/Vault/);

    await vault.start();
    letAMinutePass();
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: before.keyId });
    expect(await cold.decrypt(during, 'u')).toEqual(seed);
    expect(await cold.status()).toMatchObject({ healthz: 'ok', keyId: before.keyId });
  }, 60_000);

  it('takes up a rotation of the key in Vault at the next Status, with a KEK of the new version', async () => {
    const client = await plugin('a');
    const before = await client.encrypt(seed, 'u');
    await vault.write(`transit/keys/${vault.key}/rotate`);
    letAMinutePass();
    expect((await client.encrypt(seed, 'u')).keyId).toBe(before.keyId);
    const { keyId } = await client.status();
    expect(keyId).not.toBe(before.keyId);
    const after = await client.encrypt(seed, 'u');
    expect(after.keyId).toBe(keyId);
    expect(after.annotations['kek.keyferry.dev']?.toString()).toMatch(/^vault:v2:/);
    expect(before.annotations['kek.keyferry.dev']?.toString()).toMatch(/^vault:v1:/);
    const cold = await plugin('b');
    for (const sealed of [before, after]) expect(await cold.decrypt(sealed, 'u')).toEqual(seed);
  }, 60_000);
});
