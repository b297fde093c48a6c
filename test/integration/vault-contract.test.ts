import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { freePort } from '../../lab/ports.ts';
import {
  describeKeyServiceContract,
  type KeyServiceContract,
} from '../../src/keys/key-service.contract.test-helper.ts';
import { type VaultAuth } from '../../src/keys/vault-session.ts';
import { VaultAlone } from '../support/vault-alone.ts';

const seed = Buffer.from('a seed that nobody may ever see.');
let vault: VaultAlone;
let auth: VaultAuth;

beforeAll(async () => {
  vault = await VaultAlone.up({ kubernetesAuth: true });
}, 900_000);

afterAll(() => vault.down(), 60_000);

beforeEach(() => vault.newKey());

afterEach(async () => {
  jest.restoreAllMocks();
  await vault.closeServices();
});

const failsWith = (code: string, kind: string): unknown =>
  expect.objectContaining({ code, kind, remedy: expect.stringMatching(/\w/) });

const timeoutMs = 1_000;
const open = (over: object, port?: number) =>
  vault.service(auth, {
    timeoutMs,
    ...(port === undefined ? {} : { address: `http://127.0.0.1:${port}` }),
    ...over,
  });

/** Another key, for a token that may use it. */
const openOther = async (over: object) => {
  const key = `${vault.key}-other`;
  await vault.write(`transit/keys/${key}`, { type: 'aes256-gcm96' });
  const token = await vault.token({}, { policies: ['root'] });
  return vault.service(vault.file(`${key}.token`, token), { timeoutMs, key, ...over });
};

const shared = {
  longestPlaintext: 700,
  disabled: { notShown: 'a transit key can be deleted, and not disabled' },
  deleted: { cause: () => vault.removeKey(), kinds: ['not-found'] },
  network: { target: () => ({ host: '127.0.0.1', port: vault.config.vault?.port ?? 0 }) },
  frozen: { freeze: () => vault.signal('SIGSTOP'), thaw: () => vault.signal('SIGCONT') },
  restarted: { stop: () => vault.stop(), start: () => vault.start() },
} satisfies Partial<KeyServiceContract>;

const contents = (...files: string[]) => files.map((file) => readFileSync(file, 'utf8').trim());

describe('with a token file', () => {
  beforeEach(async () => {
    auth = { type: 'token-file', tokenFile: await vault.tokenFile() };
  });

  describeKeyServiceContract('Vault Transit', {
    ...shared,
    open: (port) => open({}, port),
    openOther: () => openOther({}),
    credentials: () => (auth.type === 'token-file' ? contents(auth.tokenFile) : []),
    revoked: {
      cause: async () => {
        await vault.write('auth/token/revoke', { token: tokenInFile() });
      },
      undo: async () => {
        await vault.tokenFile();
      },
      kinds: ['denied'],
    },
    expired: {
      // The new token is in the file already, as an agent of Vault's would have put it there.
      cause: async () => {
        const former = tokenInFile();
        await vault.tokenFile();
        await vault.write('auth/token/revoke', { token: former });
      },
    },
  });
});

describe('with an AppRole', () => {
  const over = { associatedData: 'cluster-a' };

  beforeEach(async () => {
    auth = await vault.appRole({ token_ttl: '1h' });
  });

  describeKeyServiceContract('Vault Transit with associated data', {
    ...shared,
    open: (port) => open(over, port),
    openOther: () => openOther(over),
    credentials: () => (auth.type === 'approle' ? contents(auth.roleIdFile, auth.secretIdFile) : []),
    revoked: {
      cause: async () => {
        await vault.admin.expect('DELETE', `/v1/auth/approle/role/${vault.key}`);
        await revokeTokensOf('approle');
      },
      undo: async () => {
        await vault.appRole({ token_ttl: '1h' });
      },
      kinds: ['denied'],
    },
    expired: { cause: () => revokeTokensOf('approle') },
  });
});

describe('with the Kubernetes auth method (its TokenReview is a mock)', () => {
  beforeEach(async () => {
    auth = await vault.kubernetes({ token_ttl: '1h' });
  });

  describeKeyServiceContract('Vault Transit', {
    ...shared,
    open: (port) => open({}, port),
    openOther: () => openOther({}),
    credentials: () => (auth.type === 'kubernetes' ? contents(auth.tokenFile) : []),
    revoked: {
      cause: async () => {
        vault.tokenReview?.revoke(tokenInFile());
        await revokeTokensOf('kubernetes');
      },
      undo: async () => {
        await vault.kubernetes({ token_ttl: '1h' });
      },
      kinds: ['denied'],
    },
    // The kubelet has put a new token into the file; the one before is good no more.
    expired: {
      cause: async () => {
        const former = tokenInFile();
        await vault.kubernetes({ token_ttl: '1h' });
        vault.tokenReview?.revoke(former);
        await revokeTokensOf('kubernetes');
      },
    },
  });

  it('says which role refused a service account that it does not take', async () => {
    const other = vault.tokenReview?.issue('default', 'somebody') ?? '';
    const file = vault.file('other.jwt', other);
    const error: unknown = await vault
      .service({ type: 'kubernetes', mount: 'kubernetes', role: vault.key, tokenFile: file })
      .current()
      .catch((reason: unknown) => reason);
    expect(error).toEqual(failsWith('VaultLoginFailed', 'denied'));
    expect(String(error)).toContain(`the role ${vault.key} was refused`);
    expect(String(error)).not.toContain(other);
  });
});

describe('a Vault transit key', () => {
  beforeEach(async () => {
    auth = { type: 'token-file', tokenFile: await vault.tokenFile() };
  });

  it('opens with exactly its associated data, which is part of its id', async () => {
    const bound = open({ associatedData: 'cluster-a' });
    const version = await bound.current();
    expect(version.keyId).toMatch(/\/data=[0-9a-f]{16}$/);
    const sealed = await bound.encrypt(seed, version);
    for (const over of [{}, { associatedData: 'cluster-b' }]) {
      const other = open(over);
      await expect(other.decrypt(sealed, version.keyId)).rejects.toThrow(
        failsWith('VaultAssociatedDataDiffers', 'wrong-key'),
      );
      // Nor does Vault open it, for whoever takes it for one of that data's.
      const { keyId } = await other.current();
      await expect(other.decrypt(sealed, keyId)).rejects.toThrow(failsWith('CiphertextInvalid', 'invalid'));
    }
  });

  it('says from which version on Vault decrypts, when that is later than what sealed', async () => {
    const keys = open({});
    const version = await keys.current();
    const sealed = await keys.encrypt(seed, version);
    await vault.write(`transit/keys/${vault.key}/rotate`);
    await vault.write(`transit/keys/${vault.key}/config`, { min_decryption_version: 2 });
    await expect(keys.decrypt(sealed, version.keyId)).rejects.toThrow(
      failsWith('VaultVersionRetired', 'denied'),
    );
    await vault.write(`transit/keys/${vault.key}/config`, { min_decryption_version: 1 });
    expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
  });

  it('is reached with a client certificate where Vault asks for one, and not without', async () => {
    const port = await freePort();
    const { ca, cert, key } = await vault.listenWithTls(port);
    await vault.stop();
    await vault.start();
    const address = `https://127.0.0.1:${port}`;
    const keys = vault.service(auth, { address, ca, clientCertificate: { cert, key } });
    const version = await keys.current();
    expect(await keys.decrypt(await keys.encrypt(seed, version), version.keyId)).toEqual(seed);
    await expect(vault.service(auth, { address, ca }).current()).rejects.toThrow(
      failsWith('UnavailableVault', 'unavailable'),
    );
  });
});

function tokenInFile(): string {
  if (auth.type === 'approle') throw new Error('an AppRole has no token file');
  return readFileSync(auth.tokenFile, 'utf8').trim();
}

async function revokeTokensOf(mount: string): Promise<void> {
  await vault.admin.expect('PUT', `/v1/sys/leases/revoke-prefix/auth/${mount}`);
}
