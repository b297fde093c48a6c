import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type VaultTransitKeyService } from '../../src/keys/vault-transit.ts';
import { VaultAlone } from '../support/vault-alone.ts';

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

const failsWith = (code: string, kind?: string) =>
  expect.objectContaining({
    code,
    ...(kind === undefined ? {} : { kind }),
    remedy: expect.stringMatching(/\w/),
  });

describe('a Vault transit key', () => {
  it('seals under an id that names service, mount, key, version and when it was made, and opens again', async () => {
    const keys = vault.service(await vault.tokenFile());
    const current = await keys.current();
    expect(current.keyId).toMatch(new RegExp(`^vault-transit:test-vault/transit/${vault.key}/v1@1[0-9]{9}$`));
    const sealed = await keys.encrypt(seed, current);
    expect(sealed.toString()).toMatch(/^vault:v1:/);
    expect(await keys.decrypt(sealed, current.keyId)).toEqual(seed);
  });

  it('has a new id within a minute of its rotation; what the old one sealed still opens', async () => {
    const keys = vault.service(await vault.tokenFile());
    const before = await keys.current();
    const sealed = await keys.encrypt(seed, before);
    await vault.write(`transit/keys/${vault.key}/rotate`);
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
    const keys = vault.service(await vault.tokenFile());
    const { keyId, ...rest } = await keys.current();
    const sealed = await keys.encrypt(seed, { keyId, ...rest });
    for (const other of [
      keyId.replace('test-vault', 'other-vault'),
      keyId.replace(`/${vault.key}/`, '/other/'),
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
    await vault.write(`transit/keys/${vault.key}-rsa`, { type: 'rsa-2048' });
    const root = vault.file('root.token', await vault.token({}, { policies: ['root'] }));
    await expect(vault.service(root, { key: 'none' }).current()).rejects.toThrow(
      failsWith('VaultKeyNotFound', 'not-found'),
    );
    await expect(vault.service(root, { mount: 'none' }).current()).rejects.toThrow(
      failsWith('VaultKeyNotFound'),
    );
    await expect(vault.service(root, { key: `${vault.key}-rsa` }).current()).rejects.toThrow(
      failsWith('VaultKeyUnfit', 'denied'),
    );
  });

  it('made anew after it was deleted is another key: the old id neither seals nor opens any more', async () => {
    const keys = vault.service(await vault.tokenFile());
    const old = await keys.current();
    const sealed = await keys.encrypt(seed, old);
    await vault.removeKey();
    await expect(keys.decrypt(sealed, old.keyId)).rejects.toThrow(failsWith('VaultKeyNotFound', 'not-found'));
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('VaultKeyNotFound', 'not-found'));
    await sleep(1_100);
    await vault.write(`transit/keys/${vault.key}`, { type: 'aes256-gcm96' });
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('VaultKeyVersionGone', 'wrong-key'));
    await expect(keys.decrypt(sealed, old.keyId)).rejects.toThrow(
      failsWith('VaultKeyVersionGone', 'wrong-key'),
    );
    const remade = await keys.current();
    expect(remade.keyId).not.toBe(old.keyId);
    expect(await keys.decrypt(await keys.encrypt(seed, remade), remade.keyId)).toEqual(seed);
  });

  it('that Vault makes by itself, for a token that may create, is not taken for the one that was deleted', async () => {
    const keys = vault.service(vault.file('root.token', await vault.token({}, { policies: ['root'] })));
    const old = await keys.current();
    await vault.removeKey();
    await sleep(1_100);
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('VaultKeyVersionGone', 'wrong-key'));
  });
});

describe('a token file', () => {
  it('is read again when its token is revoked', async () => {
    const first = await vault.token();
    const keys = vault.service(vault.file(`${vault.key}.token`, first));
    const current = await keys.current();
    vault.file(`${vault.key}.token`, await vault.token());
    await vault.write('auth/token/revoke', { token: first });
    expect(await keys.decrypt(await keys.encrypt(seed, current), current.keyId)).toEqual(seed);
  });

  it('with a token that is no longer valid says so, without the token', async () => {
    const revoked = await vault.token();
    const keys = vault.service(vault.file(`${vault.key}.token`, revoked));
    const current = await keys.current();
    await vault.write('auth/token/revoke', { token: revoked });
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
    const keys = vault.service(await vault.tokenFile({ [verb]: '' }));
    await expect(use(keys)).rejects.toThrow(failsWith('VaultPermissionDenied', 'denied'));
    await expect(use(keys)).rejects.toThrow(`transit/${verb}/${vault.key}`);
  });

  it('that is not there says so', async () => {
    await expect(vault.service('/nowhere/token').current()).rejects.toThrow(
      failsWith('VaultLoginFailed', 'denied'),
    );
  });

  it('has its token renewed while it is used, far beyond its TTL', async () => {
    const keys = vault.service(await vault.tokenFile({}, { period: '2s' }));
    const current = await keys.current();
    await sleep(5_000);
    expect(await keys.decrypt(await keys.encrypt(seed, current), current.keyId)).toEqual(seed);
  }, 15_000);
});

describe('an AppRole', () => {
  it('logs in, and again when its token is at its maximum TTL', async () => {
    const keys = vault.service(await vault.appRole({ token_ttl: '2s', token_max_ttl: '3s' }));
    const current = await keys.current();
    const sealed = await keys.encrypt(seed, current);
    for (let i = 0; i < 4; i++) {
      await sleep(1_700);
      expect(await keys.decrypt(sealed, current.keyId)).toEqual(seed);
    }
  }, 20_000);

  it('logs in again when its token was revoked', async () => {
    const keys = vault.service(await vault.appRole({ token_ttl: '1h' }));
    const current = await keys.current();
    await vault.admin.expect('PUT', '/v1/sys/leases/revoke-prefix/auth/approle');
    letAMinutePass();
    expect(await keys.current()).toEqual(current);
  });

  it('whose secret id is used up says so, without it', async () => {
    const auth = await vault.appRole({ token_ttl: '1h' }, { num_uses: 1 });
    await vault.service(auth).current();
    await expect(vault.service(auth).current()).rejects.toThrow(failsWith('VaultLoginFailed', 'denied'));
  });

  it('revokes its token at the end', async () => {
    const keys = vault.service(await vault.appRole({ token_ttl: '1h' }));
    const tokens = async () =>
      (await vault.admin.expect('LIST', '/v1/auth/token/accessors')).text.split(',').length;
    const before = await tokens();
    await keys.current();
    expect(await tokens()).toBe(before + 1);
    await keys.close();
    expect(await tokens()).toBe(before);
  });
});
