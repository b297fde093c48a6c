import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { pino } from 'pino';
import { type LabConfig } from '../../lab/config.ts';
import { type HttpClient } from '../../lab/http.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findServer } from '../../lab/servers.ts';
import { setUpVault, vaultAdmin, vaultLaunch, vaultUrl, writeVaultConfiguration } from '../../lab/vault.ts';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { probePlugin } from '../../src/kms-plugin/probe.ts';
import { KmsPluginServer } from '../../src/kms-plugin/server.ts';
import { type VaultAuth } from '../../src/keys/vault-session.ts';
import { VaultTransitKeyService, type VaultTransitOptions } from '../../src/keys/vault-transit.ts';

const silent = pino({ level: 'silent' });
const seed = Buffer.from('a seed that nobody may ever see.');

let config: LabConfig;
let processes: ProcessTable;
let admin: HttpClient;
let services: VaultTransitKeyService[] = [];
let key: string;
let keyNumber = 0;

beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kf-vault-'));
  config = {
    kind: 'keyferry-lab',
    dir,
    complete: true,
    createdAt: new Date().toISOString(),
    cluster: 'vault-only',
    binaries: { vault: await findServer('vault', (line) => process.stderr.write(`${line}\n`)) },
    etcd: { port: 0, peerPort: 0, quotaBytes: 0 },
    apiServers: [],
    apiServerOptions: {
      reload: true,
      requestTimeoutSeconds: 60,
      etcdCompactionSeconds: 300,
      ownHostName: [],
    },
    vault: { port: await freePort(), clusterPort: await freePort() },
  };
  processes = new ProcessTable(labPaths(dir).run);
  writeVaultConfiguration(config);
  await start();
  await setUpVault(config);
  admin = vaultAdmin(config);
}, 600_000);

afterAll(async () => {
  admin.close();
  await processes.stop('vault');
  rmSync(config.dir, { recursive: true, force: true });
}, 60_000);

beforeEach(async () => {
  key = `k${(keyNumber += 1)}`;
  await write(`transit/keys/${key}`, { type: 'aes256-gcm96' });
});

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(services.map((service) => service.close()));
  services = [];
});

async function start(): Promise<void> {
  await processes.startAndWait(vaultLaunch(config));
}

async function write(path: string, body: object = {}): Promise<unknown> {
  const { text } = await admin.expect('POST', `/v1/${path}`, body);
  return text === '' ? undefined : JSON.parse(text);
}

function file(name: string, content: string): string {
  const path = join(config.dir, name);
  writeFileSync(path, `${content}\n`);
  return path;
}

/** A policy for the test's key, and a token that has it. */
async function token(capabilities: Record<string, string> = {}, options: object = {}): Promise<string> {
  const rights = { encrypt: 'update', decrypt: 'update', keys: 'read', ...capabilities };
  const policy = Object.entries(rights)
    .map(
      ([verb, capability]) =>
        `path "transit/${verb}/${key}" { capabilities = [${capability && `"${capability}"`}] }`,
    )
    .join('\n');
  await admin.expect('PUT', `/v1/sys/policies/acl/${key}`, { policy });
  const made = (await write('auth/token/create-orphan', { policies: [key], ...options })) as {
    auth: { client_token: string };
  };
  return made.auth.client_token;
}

async function tokenFile(...options: Parameters<typeof token>): Promise<string> {
  return file(`${key}.token`, await token(...options));
}

function service(auth: VaultAuth | string, over: Partial<VaultTransitOptions> = {}): VaultTransitKeyService {
  const made = new VaultTransitKeyService(
    {
      service: 'test-vault',
      address: vaultUrl(config),
      mount: 'transit',
      key,
      auth: typeof auth === 'string' ? { type: 'token-file', tokenFile: auth } : auth,
      ...over,
    },
    silent,
  );
  services.push(made);
  return made;
}

async function appRole(role: object, secretId: object = {}): Promise<VaultAuth> {
  await token();
  const path = `auth/approle/role/${key}`;
  await write(path, { token_policies: [key], ...role });
  const id = JSON.parse((await admin.expect('GET', `/v1/${path}/role-id`)).text) as {
    data: { role_id: string };
  };
  const secret = (await write(`${path}/secret-id`, secretId)) as { data: { secret_id: string } };
  return {
    type: 'approle',
    mount: 'approle',
    roleIdFile: file(`${key}.role`, id.data.role_id),
    secretIdFile: file(`${key}.secret`, secret.data.secret_id),
  };
}

/** What a service remembers of its key is a minute older from now on. */
function letAMinutePass(): void {
  const later = Date.now() + 61_000 - performance.now();
  jest.spyOn(Date, 'now').mockImplementation(() => later + performance.now());
}

async function removeKey(): Promise<void> {
  await write(`transit/keys/${key}/config`, { deletion_allowed: true });
  await admin.expect('DELETE', `/v1/transit/keys/${key}`);
}

const failsWith = (code: string, kind?: string) =>
  expect.objectContaining({
    code,
    ...(kind === undefined ? {} : { kind }),
    remedy: expect.stringMatching(/\w/),
  });

describe('a Vault transit key', () => {
  it('seals under an id that names service, mount, key, version and when it was made, and opens again', async () => {
    const keys = service(await tokenFile());
    const current = await keys.current();
    expect(current.keyId).toMatch(new RegExp(`^vault-transit:test-vault/transit/${key}/v1@1[0-9]{9}$`));
    const sealed = await keys.encrypt(seed, current);
    expect(sealed.toString()).toMatch(/^vault:v1:/);
    expect(await keys.decrypt(sealed, current.keyId)).toEqual(seed);
  });

  it('has a new id within a minute of its rotation; what the old one sealed still opens', async () => {
    const keys = service(await tokenFile());
    const before = await keys.current();
    const sealed = await keys.encrypt(seed, before);
    await write(`transit/keys/${key}/rotate`);
    expect(await keys.current()).toEqual(before);
    // Until the new version is adopted, the old one is what seals, and what the ciphertext says.
    expect((await keys.encrypt(seed, before)).toString()).toMatch(/^vault:v1:/);
    letAMinutePass();
    const after = await keys.current();
    expect(after.keyId).toMatch(/\/v2@/);
    expect((await keys.encrypt(seed, after)).toString()).toMatch(/^vault:v2:/);
    expect(await keys.decrypt(sealed, before.keyId)).toEqual(seed);
  });

  it('does not open under the id of another service, key or version, nor garbage under its own', async () => {
    const keys = service(await tokenFile());
    const { keyId, ...rest } = await keys.current();
    const sealed = await keys.encrypt(seed, { keyId, ...rest });
    for (const other of [
      keyId.replace('test-vault', 'other-vault'),
      keyId.replace(`/${key}/`, '/other/'),
      keyId.replace('/v1@', '/v2@'),
      '',
    ]) {
      await expect(keys.decrypt(sealed, other)).rejects.toThrow(failsWith('WrongKeyId', 'wrong-key'));
    }
    const damaged = Buffer.from(sealed.toString().replace(/.{4}$/, 'AAAA'));
    for (const bytes of [Buffer.from('garbage'), Buffer.alloc(0), damaged]) {
      await expect(keys.decrypt(bytes, keyId)).rejects.toThrow(failsWith('CiphertextInvalid', 'invalid'));
    }
  });

  it('that is not there, or is not symmetric, says so', async () => {
    await write(`transit/keys/${key}-rsa`, { type: 'rsa-2048' });
    const root = file('root.token', await token({}, { policies: ['root'] }));
    await expect(service(root, { key: 'none' }).current()).rejects.toThrow(
      failsWith('VaultKeyNotFound', 'not-found'),
    );
    await expect(service(root, { mount: 'none' }).current()).rejects.toThrow(failsWith('VaultKeyNotFound'));
    await expect(service(root, { key: `${key}-rsa` }).current()).rejects.toThrow(
      failsWith('VaultKeyUnfit', 'denied'),
    );
  });

  it('made anew after it was deleted is another key: the old id neither seals nor opens any more', async () => {
    const keys = service(await tokenFile());
    const old = await keys.current();
    const sealed = await keys.encrypt(seed, old);
    await removeKey();
    await expect(keys.decrypt(sealed, old.keyId)).rejects.toThrow(failsWith('VaultKeyNotFound', 'not-found'));
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('VaultKeyNotFound', 'not-found'));
    await sleep(1_100);
    await write(`transit/keys/${key}`, { type: 'aes256-gcm96' });
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('VaultKeyVersionGone', 'wrong-key'));
    await expect(keys.decrypt(sealed, old.keyId)).rejects.toThrow(
      failsWith('VaultKeyVersionGone', 'wrong-key'),
    );
    const remade = await keys.current();
    expect(remade.keyId).not.toBe(old.keyId);
    expect(await keys.decrypt(await keys.encrypt(seed, remade), remade.keyId)).toEqual(seed);
  });

  it('that Vault makes by itself, for a token that may create, is not taken for the one that was deleted', async () => {
    const keys = service(file('root.token', await token({}, { policies: ['root'] })));
    const old = await keys.current();
    await removeKey();
    await sleep(1_100);
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('VaultKeyVersionGone', 'wrong-key'));
  });
});

describe('a token file', () => {
  it('is read again when its token is revoked', async () => {
    const first = await token();
    const keys = service(file(`${key}.token`, first));
    const current = await keys.current();
    file(`${key}.token`, await token());
    await write('auth/token/revoke', { token: first });
    expect(await keys.decrypt(await keys.encrypt(seed, current), current.keyId)).toEqual(seed);
  });

  it('with a token that is no longer valid says so, without the token', async () => {
    const revoked = await token();
    const keys = service(file(`${key}.token`, revoked));
    const current = await keys.current();
    await write('auth/token/revoke', { token: revoked });
    const error: unknown = await keys.encrypt(seed, current).catch((reason: unknown) => reason);
    expect(error).toEqual(failsWith('VaultLoginFailed', 'denied'));
    expect(JSON.stringify(error) + String(error)).not.toContain(revoked);
    expect(error).not.toHaveProperty('cause');
  });

  it.each([
    [
      'encrypt',
      (keys: VaultTransitKeyService) => keys.current().then((version) => keys.encrypt(seed, version)),
    ],
    ['keys', (keys: VaultTransitKeyService) => keys.current()],
  ] as const)('with a token that may not use %s says which permission is missing', async (verb, use) => {
    const keys = service(await tokenFile({ [verb]: '' }));
    await expect(use(keys)).rejects.toThrow(failsWith('VaultPermissionDenied', 'denied'));
    await expect(use(keys)).rejects.toThrow(`transit/${verb}/${key}`);
  });

  it('that is not there says so', async () => {
    await expect(service('/nowhere/token').current()).rejects.toThrow(
      failsWith('VaultLoginFailed', 'denied'),
    );
  });

  it('has its token renewed while it is used, far beyond its TTL', async () => {
    const keys = service(await tokenFile({}, { period: '2s' }));
    const current = await keys.current();
    await sleep(5_000);
    expect(await keys.decrypt(await keys.encrypt(seed, current), current.keyId)).toEqual(seed);
  }, 15_000);
});

describe('an AppRole', () => {
  it('logs in, and again when its token is at its maximum TTL', async () => {
    const keys = service(await appRole({ token_ttl: '2s', token_max_ttl: '3s' }));
    const current = await keys.current();
    const sealed = await keys.encrypt(seed, current);
    for (let i = 0; i < 4; i++) {
      await sleep(1_700);
      expect(await keys.decrypt(sealed, current.keyId)).toEqual(seed);
    }
  }, 20_000);

  it('logs in again when its token was revoked', async () => {
    const keys = service(await appRole({ token_ttl: '1h' }));
    const current = await keys.current();
    await admin.expect('PUT', '/v1/sys/leases/revoke-prefix/auth/approle');
    letAMinutePass();
    expect(await keys.current()).toEqual(current);
  });

  it('whose secret id is used up says so, without it', async () => {
    const auth = await appRole({ token_ttl: '1h' }, { num_uses: 1 });
    await service(auth).current();
    await expect(service(auth).current()).rejects.toThrow(failsWith('VaultLoginFailed', 'denied'));
  });

  it('revokes its token at the end', async () => {
    const keys = service(await appRole({ token_ttl: '1h' }));
    const tokens = async () =>
      (await admin.expect('LIST', '/v1/auth/token/accessors')).text.split(',').length;
    const before = await tokens();
    await keys.current();
    expect(await tokens()).toBe(before + 1);
    await keys.close();
    expect(await tokens()).toBe(before);
  });
});

describe('a plugin over Vault', () => {
  let folder: string;
  let endpoint: string;
  let server: KmsPluginServer;
  let client: KmsPluginClient;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kf-'));
    endpoint = `unix://${folder}/p.sock`;
    server = await KmsPluginServer.start(`${folder}/p.sock`, service(await tokenFile()), silent);
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
      [() => processes.signal('vault', 'SIGSTOP'), () => processes.signal('vault', 'SIGCONT')],
      [() => processes.stop('vault'), start],
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
    await admin.expect('PUT', '/v1/sys/seal');
    await expect(client.decrypt(sealed, 'u')).rejects.toThrow(/sealed/);
    await processes.stop('vault');
    await start();
    expect(await client.decrypt(sealed, 'u')).toEqual(seed);
  }, 60_000);
});
