import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { pino } from 'pino';
import { InMemoryTestDoubleKeyService } from './in-memory.test-helper.ts';
import { ResilientKeyService } from './resilient.ts';

const silent = pino({ level: 'silent' });
const seed = Buffer.from('a seed of 32 bytes for this test');

let keys: InMemoryTestDoubleKeyService;

beforeEach(() => {
  keys = new InMemoryTestDoubleKeyService();
});

afterEach(() => {
  jest.restoreAllMocks();
});

function service(options: ConstructorParameters<typeof ResilientKeyService>[2] = {}): ResilientKeyService {
  return new ResilientKeyService(keys, silent, { retryDelayMs: 1, ...options });
}

/** The next calls fail, then the service is well again. */
function failFor(calls: number): void {
  const current = keys.current.bind(keys);
  let left = calls;
  keys.current = async (signal) => {
    keys.failWith(left-- > 0 ? 'unavailable' : undefined);
    return await current(signal);
  };
}

describe('a key service that fails for the moment', () => {
  it('is asked again, and nobody notices', async () => {
    failFor(2);
    expect((await service().current()).keyId).toBe('in-memory-test-double/v1');
    expect(keys.calls.current).toBe(3);
  });

  it('is asked three times, not more', async () => {
    failFor(3);
    await expect(service().current()).rejects.toMatchObject({ kind: 'unavailable' });
    expect(keys.calls.current).toBe(3);
  });

  it.each(['denied', 'not-found', 'wrong-key', 'invalid'] as const)(
    'is not asked again when it says %s, and is not left alone for it',
    async (kind) => {
      const resilient = service({ failuresToOpen: 2 });
      keys.failWith(kind);
      for (let i = 1; i <= 5; i++) {
        await expect(resilient.decrypt(seed, 'k')).rejects.toMatchObject({ kind });
        expect(keys.calls.decrypt).toBe(i);
      }
      expect(resilient.circuit).toBe('closed');
    },
  );

  it('keeps its caller no longer than the deadline', async () => {
    keys.failWith('unavailable');
    const deadline = new AbortController();
    const asked = service({ retryDelayMs: 600_000 }).current(deadline.signal);
    setTimeout(() => deadline.abort(), 20);
    await expect(asked).rejects.toMatchObject({ kind: 'timeout' });
  });
});

describe('a key service that fails again and again', () => {
  it('is left alone for a while; whoever asks hears at once why', async () => {
    const resilient = service({ retries: 0, failuresToOpen: 3, openForMs: 60_000 });
    keys.failWith('unavailable', 'Vault is sealed');
    for (let i = 0; i < 3; i++) await expect(resilient.current()).rejects.toThrow('Vault is sealed');
    expect(resilient.circuit).toBe('open');
    const asked = { ...keys.calls };
    for (const call of [
      () => resilient.current(),
      () => resilient.encrypt(seed, { keyId: 'k', description: '' }),
      () => resilient.decrypt(seed, 'k'),
    ]) {
      await expect(call()).rejects.toMatchObject({
        kind: 'unavailable',
        code: 'KeyServiceLeftAlone',
        message: expect.stringContaining('at last: Vault is sealed'),
        remedy: 'end the test',
      });
    }
    expect(keys.calls).toEqual(asked);
  });

  it('is tried by one call after that while, and used again when it answers', async () => {
    const resilient = service({ retries: 0, failuresToOpen: 1, openForMs: 1_000, openForAtMostMs: 1_000 });
    keys.failWith('unavailable');
    await expect(resilient.current()).rejects.toThrow();
    expect(resilient.circuit).toBe('open');
    const later = Date.now() + 2_000;
    jest.spyOn(Date, 'now').mockReturnValue(later);
    await expect(resilient.current()).rejects.toMatchObject({ code: 'TestFailure' });
    expect([resilient.circuit, keys.calls.current]).toEqual(['open', 2]);

    keys.failWith();
    jest.spyOn(Date, 'now').mockReturnValue(later + 2_000);
    const release = keys.hold();
    const calls = Promise.all([resilient.current(), resilient.current(), resilient.current()]);
    expect([resilient.circuit, keys.calls.current]).toEqual(['half-open', 3]);
    release();
    await calls;
    expect(resilient.circuit).toBe('closed');
  });
});
