import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { Ledger } from '../../src/kms-plugin/ledger.ts';
import { RotationClient } from '../../src/kms-plugin/rotation-client.ts';
import { KmsPluginServer } from '../../src/kms-plugin/server.ts';
import { withGeneration } from '../../src/keys/generation.ts';
import { keyIdOfGeneration } from '../../src/plan/generation.ts';
import { silent, VaultAlone } from '../support/vault-alone.ts';

const seed = Buffer.from('a seed that nobody may ever see.');
const localKek = { maxAgeMs: 3_600_000, maxUses: 1_000 };
let vault: VaultAlone;
let folder: string;
let ends: (() => unknown)[];

beforeAll(async () => {
  vault = await VaultAlone.up();
}, 600_000);

afterAll(() => vault.down(), 60_000);

beforeEach(async () => {
  await vault.newKey();
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  ends = [];
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of ends.reverse()) await end();
  await vault.closeServices();
  rmSync(folder, { recursive: true, force: true });
});

/** What a service remembers of its key is a minute older from now on. */
function letAMinutePass(): void {
  const later = Date.now() + 61_000 - performance.now();
  jest.spyOn(Date, 'now').mockImplementation(() => later + performance.now());
}

async function plugin(node: string) {
  const ledger = await Ledger.open(join(folder, `${node}.json`));
  const service = withGeneration(vault.service(await vault.tokenFile()), 1);
  const socket = join(folder, `${node}.sock`);
  const server = await KmsPluginServer.start(socket, service, silent, { localKek, ledger });
  const client = new KmsPluginClient(`unix://${socket}`);
  const lead = new RotationClient(`unix://${socket}`);
  ends.push(
    () => server.stop(),
    () => client.close(),
    () => lead.close(),
  );
  return { server, client, lead };
}

describe('a Vault key whose rotation is led', () => {
  it('goes from version to version on all nodes as told, and back, and everything opens everywhere', async () => {
    const first = await plugin('node-1');
    const nodes = [first, await plugin('node-2')];
    const { keyId: a } = await first.client.status();
    for (const { client } of nodes) expect((await client.status()).keyId).toBe(a);
    const sealed = [await first.client.encrypt(seed, 'u')];
    await vault.write(`transit/keys/${vault.key}/rotate`);
    letAMinutePass();
    for (const { client } of nodes) expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });

    const { newestKeyId: b } = await first.lead.versions();
    expect(b).toMatch(/\/v2@/);
    for (const { lead } of nodes) sealed.push(await lead.seal(b, seed, 'u'));
    for (const { lead } of nodes) expect(await lead.announce(b)).toBe(b);
    for (const { client } of nodes) sealed.push(await client.encrypt(seed, 'u'));

    const again = keyIdOfGeneration(a, 2);
    await expect(first.lead.announce(a)).rejects.toThrow(`announce ${again} instead`);
    for (const { lead } of nodes) sealed.push(await lead.seal(again, seed, 'u'));
    for (const { lead } of nodes) expect(await lead.announce(again)).toBe(again);
    for (const { client } of nodes) sealed.push(await client.encrypt(seed, 'u'));
    expect(sealed.map(({ keyId }) => keyId)).toEqual([a, b, b, b, b, again, again, again, again]);
    for (const one of sealed) {
      for (const { client } of nodes) expect(await client.decrypt(one, 'u')).toEqual(seed);
    }
  });

  it('is announced by itself only when Vault no longer encrypts under the version that is held', async () => {
    const { client, server } = await plugin('node-1');
    const { keyId: a } = await client.status();
    const sealed = await client.encrypt(seed, 'u');
    await vault.write(`transit/keys/${vault.key}/rotate`);
    await server.stop();
    const held = await plugin('node-1');
    expect((await held.client.status()).keyId).toBe(a);
    await held.server.stop();
    await vault.write(`transit/keys/${vault.key}/config`, { min_encryption_version: 2 });
    const moved = await plugin('node-1');
    expect(await moved.client.status()).toMatchObject({
      healthz: 'ok',
      keyId: expect.stringMatching(/\/v2@/),
    });
    expect(await moved.client.decrypt(sealed, 'u')).toEqual(seed);
  });
});
