import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import type { Check } from '../plan/preflight.ts';
import { checkEntries } from './entries.ts';
import { type ExaminationOptions, type PluginExamination } from './examination.ts';
import { judgePlugin } from './lint.ts';
import { MockPlugin, wellBehaved, type MockBehaviour } from './mock-plugin.test-helper.ts';
import { localKek } from './plugin.test-helper.ts';
import { probePlugin } from './probe.ts';
import { KmsPluginServer } from './server.ts';

let folder: string;
let socket: string;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  socket = join(folder, 'p.sock');
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

/** Milliseconds: no machine is so slow that a third of it counts as slow. */
const patient = 60_000;

/** What the linter finds of a plugin that is good but for this. */
async function checksOf(
  mistake: (good: MockBehaviour) => Partial<MockBehaviour>,
  options: ExaminationOptions = {},
): Promise<readonly Check[]> {
  const good = wellBehaved();
  const plugin = await MockPlugin.start(socket, { ...good, ...mistake(good) });
  cleanups.push(() => plugin.stop());
  return (await probePlugin(`unix://${socket}`, { timeoutMs: patient, ...options })).checks;
}

function findings(checks: readonly Check[]): Record<string, Check['outcome']> {
  return Object.fromEntries(
    checks.filter(({ outcome }) => outcome !== 'pass').map(({ name, outcome }) => [name, outcome]),
  );
}

const seals =
  (change: (sealed: ReturnType<MockBehaviour['encrypt']>, plaintext: Buffer) => object) =>
  (good: MockBehaviour): Partial<MockBehaviour> => ({
    encrypt: (plaintext) => {
      const sealed = good.encrypt(plaintext);
      return { ...sealed, ...change(sealed, plaintext) };
    },
  });

const says =
  (over: object) =>
  (good: MockBehaviour): Partial<MockBehaviour> => ({
    status: () => ({ ...(good.status() as { version: string; healthz: string; keyId: string }), ...over }),
  });

/** Names each of the key ids in turn, from the first look on, and the last one for ever. */
const names = (...keyIds: string[]): Partial<MockBehaviour> => {
  let looks = 0;
  const now = () => keyIds[Math.min(looks, keyIds.length - 1)] ?? '';
  const good = wellBehaved();
  return {
    status: () => {
      const keyId = now();
      looks += 1;
      return { version: 'v2', healthz: 'ok', keyId };
    },
    encrypt: (plaintext) => ({ ...good.encrypt(plaintext), keyId: now() }),
    decrypt: (sealed) => {
      if (!keyIds.includes(sealed.keyId)) throw new Error('a key id of another key');
      return good.decrypt({ ...sealed, keyId: 'mock/key/1' });
    },
  };
};

describe('the linter passes', () => {
  it('a mock that does everything right', async () => {
    const checks = await checksOf(() => ({}));
    expect(findings(checks)).toEqual({});
    expect(checks.map(({ name }) => name)).toEqual([
      'socket permissions',
      'version',
      'health',
      'round trip',
      'key id',
      'key id of Encrypt',
      'key id steady',
      'ciphertext',
      'annotations',
      'wrong key id refused',
      'garbage refused',
      'truncated ciphertext refused',
      'flipped bit refused',
      'latency',
    ]);
  });

  it.each([
    ['with a local KEK', { localKek }],
    ['without', {}],
  ])("keyferry's own plugin, %s, while it is watched", async (_, protection) => {
    const keys = new InMemoryTestDoubleKeyService();
    const server = await KmsPluginServer.start(socket, keys, pino({ level: 'silent' }), protection);
    cleanups.push(() => server.stop());
    const probe = await probePlugin(`unix://${socket}`, { timeoutMs: patient, forMs: 100, everyMs: 10 });
    expect(findings(probe.checks)).toEqual({});
    expect(probe.keyId).toBe('in-memory-test-double/v1');
  });
});

describe('the linter finds a plugin', () => {
  it.each<[string, (good: MockBehaviour) => Partial<MockBehaviour>, Record<string, string>]>([
    ['of another version', says({ version: 'v2beta1' }), { version: 'fail' }],
    ['that is unwell', says({ healthz: 'the key is disabled' }), { health: 'fail' }],
    [
      'that says ok, and can not seal',
      () => ({
        encrypt: () => {
          throw new Error('the key is disabled');
        },
      }),
      { health: 'fail', 'round trip': 'fail', 'key id of Encrypt': 'warn' },
    ],
    [
      'that says ok, and can not open',
      () => ({
        decrypt: () => {
          throw new Error('the key is disabled');
        },
      }),
      { health: 'fail', 'round trip': 'fail' },
    ],
    [
      'whose Encrypt uses another key id than Status names',
      seals(() => ({ keyId: 'mock/key/2' })),
      { 'key id of Encrypt': 'fail', health: 'fail', 'round trip': 'fail' },
    ],
    ['that has no key id', says({ keyId: '' }), { 'key id': 'fail', 'key id of Encrypt': 'fail' }],
    ['with a key id that is too long', () => names('k'.repeat(1_025)), { 'key id': 'fail' }],
    ['with a bare number for its key id', () => names('7'), { 'key id': 'warn' }],
    [
      'whose ciphertext is empty',
      (good) => ({
        ...seals(() => ({ ciphertext: Buffer.alloc(0) }))(good),
        decrypt: () => {
          throw new Error('nothing there');
        },
      }),
      { ciphertext: 'fail', health: 'fail', 'round trip': 'fail' },
    ],
    [
      'whose ciphertext is too long',
      (good) => ({
        ...seals(({ ciphertext }) => ({ ciphertext: Buffer.concat([ciphertext, Buffer.alloc(1_000)]) }))(
          good,
        ),
        decrypt: (sealed) => {
          if (sealed.ciphertext.subarray(-1_000).some((byte) => byte !== 0)) throw new Error('changed');
          return good.decrypt({ ...sealed, ciphertext: sealed.ciphertext.subarray(0, -1_000) });
        },
      }),
      { ciphertext: 'fail' },
    ],
    [
      'with an annotation of a plain name',
      seals(() => ({ annotations: { version: Buffer.from('1') } })),
      { annotations: 'fail' },
    ],
    [
      'with too much in its annotations',
      seals(() => ({
        annotations: { 'a.example.com': Buffer.alloc(20_000), 'b.example.com': Buffer.alloc(13_000) },
      })),
      { annotations: 'fail' },
    ],
    [
      'that opens under any key id',
      (good) => ({ decrypt: (sealed) => good.decrypt({ ...sealed, keyId: 'mock/key/1' }) }),
      { 'wrong key id refused': 'fail' },
    ],
    [
      'that encodes and does not encrypt',
      (good) => ({
        ...seals((_, plaintext) => ({ ciphertext: Buffer.from(plaintext.toString('base64')) }))(good),
        decrypt: ({ ciphertext, keyId }) => {
          if (keyId !== 'mock/key/1') throw new Error('a key id of another key');
          return Buffer.from(ciphertext.toString(), 'base64');
        },
      }),
      {
        ciphertext: 'fail',
        'garbage refused': 'fail',
        'truncated ciphertext refused': 'fail',
        'flipped bit refused': 'fail',
      },
    ],
    [
      'that puts the plaintext into an annotation',
      seals((_, plaintext) => ({
        annotations: { 'debug.example.com': Buffer.from(plaintext.toString('hex')) },
      })),
      { ciphertext: 'fail' },
    ],
    [
      'that answers other bytes',
      (good) => ({
        decrypt: (sealed) => {
          good.decrypt(sealed);
          return randomBytes(32);
        },
      }),
      { 'round trip': 'fail' },
    ],
    [
      'that pads what is cut off',
      (good) => {
        const seen = new Map<string, Buffer>();
        return {
          encrypt: (plaintext) => {
            const sealed = good.encrypt(plaintext);
            seen.set(sealed.ciphertext.subarray(0, 12).toString('hex'), sealed.ciphertext);
            return sealed;
          },
          decrypt: (sealed) => {
            const whole = seen.get(sealed.ciphertext.subarray(0, 12).toString('hex'));
            const padded = whole?.subarray(sealed.ciphertext.length) ?? Buffer.alloc(0);
            return good.decrypt({ ...sealed, ciphertext: Buffer.concat([sealed.ciphertext, padded]) });
          },
        };
      },
      { 'truncated ciphertext refused': 'fail' },
    ],
  ])('%s', async (_, mistake, expected) => {
    const checks = await checksOf(mistake);
    expect(findings(checks)).toEqual(expected);
    for (const { outcome, remedy } of checks) if (outcome !== 'pass') expect(remedy).toMatch(/\w/);
  });

  it('whose Status does not answer', async () => {
    const checks = await checksOf(() => ({ status: () => Promise.reject(new Error('no')) }));
    expect(findings(checks)).toEqual({
      version: 'fail',
      health: 'fail',
      'key id of Encrypt': 'warn',
    });
  });

  it('whose key id is rotated while it is watched, and says which it is now', async () => {
    const checks = await checksOf(() => names('a/1', 'a/1', 'a/2'), { forMs: 60, everyMs: 10 });
    expect(findings(checks)).toEqual({ 'key id steady': 'warn' });
    expect(checks.find(({ name }) => name === 'key id steady')?.detail).toContain('"a/2"');
  });

  it('whose key id comes back after it was left', async () => {
    const checks = await checksOf(() => names('a/1', 'a/1', 'a/2', 'a/1'), { forMs: 60, everyMs: 10 });
    expect(findings(checks)).toEqual({ 'key id steady': 'fail' });
  });

  it('that does not answer in time', async () => {
    const checks = await checksOf(() => ({ status: () => new Promise<never>(() => undefined) }), {
      timeoutMs: 200,
    });
    expect(findings(checks)).toMatchObject({ health: 'fail', latency: 'warn' });
    expect(checks.find(({ name }) => name === 'health')?.detail).toContain('within 200 ms');
  });

  it('that nobody started', async () => {
    const { checks, keyId } = await probePlugin(`unix://${socket}`);
    expect(checks).toEqual([
      expect.objectContaining({ name: 'plugin answers', outcome: 'fail', passing: true }),
    ]);
    expect(checks[0]?.detail).toContain('there is no socket');
    expect(keyId).toBe('');
  });

  it('that speaks for a terminal to act on, and says so on one line', async () => {
    const checks = await checksOf(says({ healthz: `bad\u001b[2J\nfail  everything` }));
    expect(checks.find(({ name }) => name === 'health')?.detail).toBe(
      'Status is not ok: bad [2J fail  everything, while Encrypt works',
    );
  });
});

describe('a socket', () => {
  const permissions = async (): Promise<string> => {
    const { checks } = await probePlugin(`unix://${socket}`);
    return checks.find(({ name }) => name === 'socket permissions')?.outcome ?? 'not checked';
  };

  it.each([
    ['its owner alone can open', 0o600, 0o755, 'pass'],
    ['its group can open', 0o660, 0o755, 'warn'],
    ['anybody can open', 0o666, 0o755, 'fail'],
    ['anybody could open who gets into its folder, and nobody does', 0o606, 0o700, 'pass'],
    ['anybody can put another in the place of', 0o600, 0o777, 'fail'],
  ])('that %s', async (_, mode, folderMode, outcome) => {
    const plugin = await MockPlugin.start(socket, wellBehaved(), mode);
    cleanups.push(() => plugin.stop());
    chmodSync(folder, folderMode);
    expect(await permissions()).toBe(outcome);
  });
});

describe('entries of an EncryptionConfiguration', () => {
  const entry = (name: string, path: string) => ({ name, endpoint: `unix://${path}` });

  it('that have a name and a socket each pass', async () => {
    const check = await checkEntries([
      entry('a', join(folder, 'a.sock')),
      entry('b', join(folder, 'b.sock')),
    ]);
    expect(check.outcome).toBe('pass');
  });

  it('that share a socket are found, by whatever paths, and named', async () => {
    const plugin = await MockPlugin.start(socket, wellBehaved());
    cleanups.push(() => plugin.stop());
    mkdirSync(join(folder, 'run'));
    const link = join(folder, 'run', 'link.sock');
    symlinkSync(socket, link);
    for (const [one, other] of [
      [socket, socket],
      [socket, link],
      ['/nowhere/p.sock', '/nowhere//./p.sock'],
    ] as const) {
      const check = await checkEntries([entry('a', one), entry('c', '/nowhere/c.sock'), entry('b', other)]);
      expect(check).toMatchObject({ outcome: 'fail', detail: '"a" and "b" share a socket' });
    }
  });

  it('that share a name are found', async () => {
    const check = await checkEntries([entry('a', '/run/1.sock'), entry('a', '/run/2.sock')]);
    expect(check).toMatchObject({ outcome: 'fail', detail: '"a" and "a" share a name' });
  });
});

describe('an answer that takes a third of the deadline or longer', () => {
  const examination = (ms: number): PluginExamination => ({
    socket: undefined,
    timeoutMs: 3_000,
    forMs: 0,
    rounds: [
      {
        before: { answer: { version: 'v2', healthz: 'ok', keyId: 'a/1' } },
        sealed: { trouble: { message: 'no', remedy: 'none' } },
        after: { answer: { version: 'v2', healthz: 'ok', keyId: 'a/1' } },
      },
    ],
    slowest: { call: 'Encrypt', ms },
  });

  it.each([
    [1_000, 'pass'],
    [1_001, 'warn'],
  ])('of %i ms of 3,000: %s', (ms, outcome) => {
    expect(judgePlugin(examination(ms)).find(({ name }) => name === 'latency')?.outcome).toBe(outcome);
  });
});
