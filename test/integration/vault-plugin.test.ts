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
      expect((await client.status()).healthz).toMatch(/Vault/);
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
