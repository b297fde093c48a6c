import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  describeKeyServiceContract,
  letAMinutePass,
} from '../../src/keys/key-service.contract.test-helper.ts';
import { type Pkcs11Mechanism } from '../../src/keys/pkcs11-key-id.ts';
import { SoftHsmAlone } from '../support/soft-hsm-alone.ts';

const seed = Buffer.from('a seed that nobody may ever see.');
let hsm: SoftHsmAlone;

// Most tests start several processes.
jest.setTimeout(60_000);

beforeAll(async () => {
  hsm = await SoftHsmAlone.up();
}, 60_000);

afterAll(() => hsm.down());

afterEach(async () => {
  jest.restoreAllMocks();
  await hsm.closeServices();
});

const failsWith = (code: string, kind: string) =>
  expect.objectContaining({ code, kind, remedy: expect.stringMatching(/\w/) });

const makes = {
  'AES-GCM': { type: 'make-aes' },
  // Short, for each bit of a ciphertext is flipped, and each refusal costs a private key's work.
  'RSA-OAEP-SHA1': { type: 'make-rsa', bits: 1_024 },
} as const;

for (const [mechanism, make] of Object.entries(makes) as [keyof typeof makes, (typeof makes)['AES-GCM']][]) {
  describe(mechanism, () => {
    beforeEach(async () => {
      hsm.fresh();
      await hsm.key({ ...make, id: '01' });
      hsm.keep();
    });

    const service = () => hsm.service(mechanism, { hangMs: 4_000 });

    describeKeyServiceContract(`PKCS#11 by ${mechanism}`, {
      open: service,
      openOther: async () => {
        await hsm.key({ ...make, id: '07' }, `${hsm.label}-other`);
        return hsm.service(mechanism, { key: { label: `${hsm.label}-other` } });
      },
      credentials: () => [hsm.pin],
      longestPlaintext: mechanism === 'AES-GCM' ? 996 : 86,
      disabled: {
        cause: () => hsm.key({ type: 'permit', id: '01', use: false }),
        undo: () => hsm.key({ type: 'permit', id: '01', use: true }),
        kinds: ['denied'],
      },
      deleted: { cause: () => hsm.key({ type: 'destroy', id: '01' }), kinds: ['not-found'] },
      revoked: {
        cause: async () => {
          await hsm.setPin('other-pin-of-the-tests');
          // PKCS#11 knows no revocation: a session that is logged in stays so.
          await hsm.killProcesses();
        },
        undo: () => {
          hsm.writePin();
          return Promise.resolve();
        },
        kinds: ['denied'],
      },
      expired: { cause: () => hsm.killProcesses() },
      network: { notShown: "SoftHSM is a library: its processes' standing still and ending are shown" },
      frozen: {
        freeze: () => {
          hsm.freeze();
          return Promise.resolve();
        },
        thaw: () => {
          hsm.thaw();
          return Promise.resolve();
        },
      },
      restarted: {
        stop: () => {
          hsm.freeze('SIGKILL');
          return Promise.resolve();
        },
        start: () => {
          hsm.restore();
          hsm.thaw();
          return Promise.resolve();
        },
      },
    });
  });
}

describe('a token', () => {
  beforeEach(async () => {
    hsm.fresh();
    await hsm.key({ type: 'make-aes', id: '01' });
  });

  it('has the PIN nowhere but in the process that logs in', async () => {
    process.env['TEST_HSM_PIN'] = hsm.pin;
    const keys = hsm.service('AES-GCM', { pin: { type: 'env', name: 'TEST_HSM_PIN' } });
    await keys.current();
    expect(keys.pids).toHaveLength(1);
    for (const pid of keys.pids) {
      for (const file of ['cmdline', 'environ']) {
        const content = readFileSync(`/proc/${pid}/${file}`, 'latin1');
        expect(content).toContain(file === 'cmdline' ? 'pkcs11-child' : 'SOFTHSM2_CONF');
        expect(content).not.toContain(hsm.pin);
        expect(content).not.toContain('TEST_HSM_PIN');
      }
    }
    Reflect.deleteProperty(process.env, 'TEST_HSM_PIN');
  });

  it('is tried with a wrong PIN once, however often it is asked, until the PIN is another', async () => {
    hsm.writePin('wrong-pin-of-the-tests');
    const keys = hsm.service('AES-GCM');
    const refusals = Array.from({ length: 5 }, () =>
      expect(keys.current()).rejects.toThrow(failsWith('Pkcs11PinIncorrect', 'denied')),
    );
    await Promise.all(refusals);
    // With the right PIN on the token now being the wrong one of before, a second try would succeed.
    await hsm.setPin('wrong-pin-of-the-tests');
    await expect(keys.current()).rejects.toThrow(failsWith('Pkcs11PinIncorrect', 'denied'));
    await hsm.setPin('right-pin-of-the-tests');
    hsm.writePin();
    expect((await keys.current()).keyId).toContain('/01/AES-GCM@kcv-');
  });

  it.each([
    ['no file', () => ({ type: 'file', file: '/nowhere/pin' }) as const],
    ['no variable', () => ({ type: 'env', name: 'TEST_HSM_NO_PIN' }) as const],
  ])('is not tried with %s for its PIN', async (_, pin) => {
    const keys = hsm.service('AES-GCM', { pin: pin() });
    await expect(keys.current()).rejects.toThrow(failsWith('Pkcs11PinMissing', 'denied'));
  });

  it('that was taken out is met again when it is back, by a new login', async () => {
    const keys = hsm.service('AES-GCM');
    const version = await keys.current();
    const sealed = await keys.encrypt(seed, version);
    hsm.removeToken();
    const gone = failsWith('UnavailablePkcs11Token', 'unavailable');
    await expect(keys.decrypt(sealed, version.keyId)).rejects.toThrow(gone);
    await expect(keys.encrypt(seed, version)).rejects.toThrow(gone);
    hsm.putBack();
    await untilOpened(() => keys.decrypt(sealed, version.keyId));
  });

  it('that was initialised anew opens what it sealed before, once the key was put back', async () => {
    const bytes = randomBytes(32);
    await hsm.key({ type: 'make-aes', id: '0a', bytes }, 'restored');
    const keys = hsm.service('AES-GCM', { key: { label: 'restored' } });
    const version = await keys.current();
    const sealed = await keys.encrypt(seed, version);
    await hsm.initToken(hsm.token);
    await expect(keys.decrypt(sealed, version.keyId)).rejects.toThrow(
      failsWith('Pkcs11KeyNotFound', 'not-found'),
    );
    await hsm.key({ type: 'make-aes', id: '0a', bytes }, 'restored');
    expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
    expect((await keys.current()).keyId).toBe(version.keyId);
  });

  it('beside another, with a copy of its key, has its key id, and opens what the other sealed', async () => {
    const bytes = randomBytes(32);
    await hsm.key({ type: 'make-aes', id: '0a', bytes }, 'copied');
    await hsm.initToken('second-token');
    await hsm.key({ type: 'make-aes', id: '0a', bytes }, 'copied', 'second-token');
    const [one, other] = [
      hsm.service('AES-GCM', { key: { label: 'copied' } }),
      hsm.service('AES-GCM', { key: { label: 'copied' }, token: { label: 'second-token' } }),
    ];
    const version = await one.current();
    expect((await other.current()).keyId).toBe(version.keyId);
    expect(await other.decrypt(await one.encrypt(seed, version), version.keyId)).toEqual(seed);
  });

  it('is found by its serial, and not where another has it', async () => {
    const serial = /serial (\S+)$/.exec((await hsm.service('AES-GCM').current()).description)?.[1] ?? '';
    expect(serial).toMatch(/^\w+$/);
    const keys = hsm.service('AES-GCM', { token: { serial } });
    expect((await keys.current()).keyId).toContain('/01/');
    await expect(hsm.service('AES-GCM', { token: { serial: `${serial}0` } }).current()).rejects.toThrow(
      failsWith('UnavailablePkcs11Token', 'unavailable'),
    );
  });

  it('whose module can not be loaded is one that is away', async () => {
    await expect(hsm.service('AES-GCM', { module: '/nowhere/lib.so' }).current()).rejects.toThrow(
      failsWith('UnavailablePkcs11Module', 'unavailable'),
    );
  });
});

describe('a key of a token', () => {
  beforeEach(async () => {
    hsm.fresh();
    await hsm.key({ type: 'make-aes', id: '01' });
  });

  it('has a newer version in another of its label with a higher CKA_ID; the older one still opens', async () => {
    const keys = hsm.service('AES-GCM');
    const before = await keys.current();
    const sealed = await keys.encrypt(seed, before);
    await hsm.key({ type: 'make-aes', id: '0100' });
    expect(await keys.current()).toEqual(before);
    letAMinutePass();
    const after = await keys.current();
    expect(after.keyId).toContain('/0100/');
    expect(await keys.decrypt(sealed, before.keyId)).toEqual(seed);
    expect(await keys.decrypt(await keys.encrypt(seed, before), before.keyId)).toEqual(seed);
    const pinned = hsm.service('AES-GCM', { key: { label: hsm.label, id: '01' } });
    expect(await pinned.current()).toEqual(before);
    expect(await pinned.decrypt(await keys.encrypt(seed, after), after.keyId)).toEqual(seed);
  });

  it('made anew with the CKA_ID of one that was deleted is another key', async () => {
    const keys = hsm.service('AES-GCM');
    const old = await keys.current();
    const sealed = await keys.encrypt(seed, old);
    await hsm.key({ type: 'destroy', id: '01' });
    await hsm.key({ type: 'make-aes', id: '01' });
    await expect(keys.decrypt(sealed, old.keyId)).rejects.toThrow(failsWith('WrongKeyId', 'wrong-key'));
    await expect(keys.encrypt(seed, old)).rejects.toThrow(failsWith('WrongKeyId', 'wrong-key'));
    expect((await keys.current()).keyId).not.toBe(old.keyId);
  });

  it('by a mechanism that the token lacks says so: SoftHSM has OAEP with SHA-1 only', async () => {
    await hsm.key({ type: 'make-rsa', bits: 2_048, id: '02' });
    const mechanism: Pkcs11Mechanism = 'RSA-OAEP-SHA256';
    await expect(hsm.service(mechanism).current()).rejects.toThrow(
      failsWith('Pkcs11MechanismRefused', 'denied'),
    );
  });

  it('takes no more than OAEP can hold', async () => {
    await hsm.key({ type: 'make-rsa', bits: 2_048, id: '02' });
    const keys = hsm.service('RSA-OAEP-SHA1');
    const version = await keys.current();
    await expect(keys.encrypt(Buffer.alloc(215), version)).rejects.toThrow(
      failsWith('Pkcs11PlaintextLength', 'invalid'),
    );
  });

  it('seals nothing under an IV that nobody chose', async () => {
    const keys = hsm.service('AES-GCM', { ivFrom: 'Token' });
    await expect(keys.current()).rejects.toThrow(failsWith('Pkcs11KeyUnfit', 'denied'));
  });
});

describe('the processes of a PKCS#11 module', () => {
  beforeEach(async () => {
    hsm.fresh();
    await hsm.key({ type: 'make-aes', id: '01' });
    hsm.keep();
  });

  it('are as many as sessions are allowed, and one when one is enough', async () => {
    const keys = hsm.service('AES-GCM', { sessions: 3 });
    const version = await keys.current();
    for (let i = 0; i < 5; i++) await keys.encrypt(seed, version);
    expect(keys.pids).toHaveLength(1);
    let most = 1;
    const workers = Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 20 || most < 3; i++) {
        expect(await keys.decrypt(await keys.encrypt(seed, version), version.keyId)).toEqual(seed);
        most = Math.max(most, keys.pids.length);
      }
    });
    await Promise.all(workers);
    expect(most).toBe(3);
  });

  it('killed with a request under way fail it as one that may be repeated, and another takes over', async () => {
    const keys = hsm.service('AES-GCM', { sessions: 1 });
    const version = await keys.current();
    const sealed = await keys.encrypt(seed, version);
    const [pid = 0] = keys.pids;
    process.kill(pid, 'SIGSTOP');
    const opening = expect(keys.decrypt(sealed, version.keyId)).rejects.toThrow(
      expect.objectContaining({ code: 'UnavailablePkcs11Process', kind: 'unavailable', retryable: true }),
    );
    process.kill(pid, 'SIGKILL');
    await opening;
    expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
    expect(keys.pids).not.toContain(pid);
  });

  it('outlive the signals of their parent, and end with the service', async () => {
    const keys = hsm.service('AES-GCM');
    const version = await keys.current();
    const [pid = 0] = keys.pids;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.kill(pid, signal);
    await keys.encrypt(seed, version);
    expect(keys.pids).toEqual([pid]);
    await keys.close();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

async function untilOpened(open: () => Promise<Buffer>): Promise<void> {
  for (let i = 0; ; i++) {
    try {
      expect(await open()).toEqual(seed);
      return;
    } catch (error) {
      if (i === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
