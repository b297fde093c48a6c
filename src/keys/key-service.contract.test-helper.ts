import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { kmsV2Limits } from '../envelope/limits.ts';
import { FaultyProxy } from './faulty-proxy.test-helper.ts';
import { KeyServiceError, type KeyService, type KeyServiceErrorKind } from './key-service.ts';

/** A fault that a service can't be brought into, and why. */
export interface NotShown {
  readonly notShown: string;
}

/** Something that stops the running test's key from being used, and how the service may then answer. */
export interface KeyFault {
  readonly cause: () => Promise<void>;
  /** Takes it back, where it can be taken back. */
  readonly undo?: () => Promise<void>;
  readonly kinds: readonly KeyServiceErrorKind[];
}

/**
 * What the contract suite needs of a key service. The test file that runs it makes a key of its own for each test (in a
 * `beforeEach`), and says which faults the service can be brought into; the others stand in the results as skipped, with
 * the reason.
 */
export interface KeyServiceContract {
  /**
   * A service over the running test's key, each time another, as after a restart of the plugin. The suite closes it.
   * With timeouts of its own below 2 s, all attempts together, for some tests wait for them.
   *
   * @param port - reach the service at 127.0.0.1 and this port, where `network` is shown
   */
  open(port?: number): KeyService | Promise<KeyService>;
  /** A service over another key of the same key service. */
  openOther(): KeyService | Promise<KeyService>;
  /** The credentials in use (tokens, PINs, secret keys): what no error may hold. */
  credentials(): readonly string[];
  /** In bytes; at least the 32 of a DEK seed. */
  readonly longestPlaintext: number;
  /** The key is disabled. */
  readonly disabled: KeyFault | NotShown;
  /** The key is deleted. */
  readonly deleted: KeyFault | NotShown;
  /** The credentials are taken back, and no new ones are to be had. `undo` gives new ones. */
  readonly revoked: KeyFault | NotShown;
  /** The credentials run out; new ones are to be had in the way they were. */
  readonly expired: { readonly cause: () => Promise<void> } | NotShown;
  /** The service is reached over TCP here. */
  readonly network: { readonly target: () => { host: string; port: number } } | NotShown;
  /** The service's process stands still (SIGSTOP), and goes on. */
  readonly frozen: { readonly freeze: () => Promise<void>; readonly thaw: () => Promise<void> } | NotShown;
  /** The service's process ends and comes back, with its keys. */
  readonly restarted: { readonly stop: () => Promise<void>; readonly start: () => Promise<void> } | NotShown;
}

/**
 * 33 bytes: in base64, as Vault writes its ciphertexts, they end within a group of four, where a changed character need
 * not be a changed byte.
 */
const seed = Buffer.from('33 bytes of a seed nobody may see');
/** A slow machine, and a service of which a thousand calls are asked. */
const faultsMs = 120_000;

/** What a service remembers of its key is a minute older from now on, until mocks are restored. */
export function letAMinutePass(): void {
  const later = Date.now() + 61_000 - performance.now();
  jest.spyOn(Date, 'now').mockImplementation(() => later + performance.now());
}

/** Runs the contract of {@link KeyService} against one: the same promises for each. */
export function describeKeyServiceContract(name: string, contract: KeyServiceContract): void {
  const opened: KeyService[] = [];
  const proxies: FaultyProxy[] = [];

  const open = async (port?: number): Promise<KeyService> => {
    const keys = await contract.open(port);
    opened.push(keys);
    return keys;
  };

  const expectRefusal = (error: unknown, kinds: readonly KeyServiceErrorKind[]): void => {
    expect(error).toBeInstanceOf(KeyServiceError);
    const refusal = error as KeyServiceError;
    expect(kinds).toContain(refusal.kind);
    expect(refusal.remedy).toMatch(/\w/);
    const whole = `${inspect(error, { depth: 20, showHidden: true, maxStringLength: null })}${refusal.stack ?? ''}`;
    const forms = [seed.toString(), seed.toString('base64'), seed.toString('hex')];
    for (const secret of [...forms, ...contract.credentials()]) {
      if (whole.includes(secret))
        throw new Error(`the error ${refusal.code} holds plaintext or a credential`);
    }
  };

  const refused = async (call: Promise<unknown>, kinds: readonly KeyServiceErrorKind[]): Promise<void> => {
    const error = await call.then(
      () => new Error('it was not refused'),
      (reason: unknown) => reason,
    );
    expectRefusal(error, kinds);
  };

  /** Whether it works: sealing and opening, within 30 s. A refusal in between is one of something that passes. */
  const worksAgain = async (keys: KeyService): Promise<void> => {
    for (let attempts = 0; ; attempts++) {
      try {
        const version = await keys.current();
        expect(await keys.decrypt(await keys.encrypt(seed, version), version.keyId)).toEqual(seed);
        return;
      } catch (error) {
        if (!(error instanceof KeyServiceError) || !error.retryable || attempts === 300) throw error;
        await sleep(100);
      }
    }
  };

  const itCan = <Shown extends object>(
    shown: Shown | NotShown,
    what: string,
    test: (shown: Shown) => Promise<void>,
  ): void => {
    if ('notShown' in shown) it.skip(`${what} (not shown: ${shown.notShown})`, () => undefined);
    else it(what, () => test(shown), faultsMs);
  };

  const throughProxy = async (target: { host: string; port: number }) => {
    const proxy = await FaultyProxy.start(target);
    proxies.push(proxy);
    const keys = await open(proxy.port);
    const version = await keys.current();
    return { proxy, keys, version, sealed: await keys.encrypt(seed, version) };
  };

  describe(`the contract of a key service, kept by ${name}:`, () => {
    afterEach(async () => {
      jest.restoreAllMocks();
      await Promise.all(opened.splice(0).map((keys) => keys.close()));
      await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
    });

    it('what it seals it opens, of every size', async () => {
      const keys = await open();
      const version = await keys.current();
      for (const size of [1, 32, seed.length, contract.longestPlaintext]) {
        const plaintext = Buffer.alloc(size, seed);
        const sealed = await keys.encrypt(plaintext, version);
        if (size > 1) expect(sealed.includes(plaintext)).toBe(false);
        expect(await keys.decrypt(sealed, version.keyId)).toEqual(plaintext);
      }
    });

    it('two ciphertexts of one plaintext differ, and fit into a value of kms v2', async () => {
      const keys = await open();
      const version = await keys.current();
      const [one, two] = [await keys.encrypt(seed, version), await keys.encrypt(seed, version)];
      expect(one).not.toEqual(two);
      expect(one.length).toBeLessThanOrEqual(kmsV2Limits.dekSourceBytes);
    });

    it('the key id is the same after a restart of the plugin, which opens what was sealed before', async () => {
      const before = await open();
      const version = await before.current();
      expect(version.description).toMatch(/\w/);
      expect(Buffer.byteLength(version.keyId)).toBeLessThanOrEqual(kmsV2Limits.keyIdBytes);
      const sealed = await before.encrypt(seed, version);
      const after = await open();
      expect(await after.decrypt(sealed, version.keyId)).toEqual(seed);
      expect(await after.current()).toEqual(version);
    });

    it('another key has another id, and opens nothing of this one', async () => {
      const keys = await open();
      const others = await contract.openOther();
      opened.push(others);
      const [version, other] = [await keys.current(), await others.current()];
      expect(other.keyId).not.toBe(version.keyId);
      const [sealed, theirs] = [await keys.encrypt(seed, version), await others.encrypt(seed, other)];
      await refused(others.decrypt(sealed, version.keyId), ['wrong-key']);
      await refused(keys.decrypt(sealed, other.keyId), ['wrong-key']);
      await refused(keys.decrypt(theirs, version.keyId), ['wrong-key', 'invalid']);
      await refused(keys.encrypt(seed, other), ['wrong-key']);
    });

    it('a key id of nobody is refused', async () => {
      const keys = await open();
      const { keyId } = await keys.current();
      const sealed = await keys.encrypt(seed, { keyId, description: '' });
      for (const strange of ['', 'garbage', `${keyId} `, `${keyId}0`, keyId.slice(0, -1), `x${keyId}`]) {
        await refused(keys.decrypt(sealed, strange), ['wrong-key']);
        await refused(keys.encrypt(seed, { keyId: strange, description: '' }), ['wrong-key']);
      }
    });

    it(
      'a ciphertext cut off anywhere, or drawn out, is refused',
      async () => {
        const keys = await open();
        const version = await keys.current();
        const sealed = await keys.encrypt(seed, version);
        const damaged = [...sealed.keys()].map((length) => sealed.subarray(0, length));
        damaged.push(Buffer.concat([sealed, Buffer.alloc(1)]), Buffer.concat([sealed, sealed]));
        await inTurns(damaged, (bytes) =>
          refused(keys.decrypt(bytes, version.keyId), ['invalid', 'wrong-key']),
        );
      },
      faultsMs,
    );

    it(
      'a ciphertext is refused with any one of its bits flipped',
      async () => {
        const keys = await open();
        const version = await keys.current();
        const sealed = await keys.encrypt(seed, version);
        await inTurns([...Array(sealed.length * 8).keys()], async (bit) => {
          const flipped = Buffer.from(sealed);
          flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          await refused(keys.decrypt(flipped, version.keyId), ['invalid', 'wrong-key']);
        });
        expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
      },
      faultsMs,
    );

    it('a call that is given up fails as one, at once', async () => {
      const keys = await open();
      const version = await keys.current();
      const sealed = await keys.encrypt(seed, version);
      const signal = AbortSignal.abort();
      await refused(keys.encrypt(seed, version, signal), ['timeout']);
      await refused(keys.decrypt(sealed, version.keyId, signal), ['timeout']);
      expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
    });

    it('a closed one refuses', async () => {
      const keys = await open();
      const version = await keys.current();
      const sealed = await keys.encrypt(seed, version);
      await keys.close();
      await refused(keys.current(), ['unavailable']);
      await refused(keys.encrypt(seed, version), ['unavailable']);
      await refused(keys.decrypt(sealed, version.keyId), ['unavailable']);
      await keys.close();
    });

    for (const [what, fault] of [
      ['a disabled key', contract.disabled],
      ['a deleted key', contract.deleted],
      ['revoked credentials', contract.revoked],
    ] as const) {
      itCan(
        fault,
        `${what} neither seals nor opens, and the service says so`,
        async ({ cause, undo, kinds }) => {
          const keys = await open();
          const version = await keys.current();
          const sealed = await keys.encrypt(seed, version);
          await cause();
          await refused(keys.encrypt(seed, version), kinds);
          await refused(keys.decrypt(sealed, version.keyId), kinds);
          letAMinutePass();
          await refused(keys.current(), kinds);
          if (undo === undefined) return;
          await undo();
          await worksAgain(keys);
          expect(await keys.current()).toEqual(version);
          expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
        },
      );
    }

    itCan(
      contract.expired,
      'credentials that ran out are taken anew, and no call fails',
      async ({ cause }) => {
        const keys = await open();
        const version = await keys.current();
        const sealed = await keys.encrypt(seed, version);
        await cause();
        expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
        expect(await keys.decrypt(await keys.encrypt(seed, version), version.keyId)).toEqual(seed);
      },
    );

    itCan(contract.network, 'a slow answer keeps nobody beyond the own deadline', async ({ target }) => {
      const { proxy, keys, version, sealed } = await throughProxy(target());
      const release = proxy.hold();
      for (const call of [
        (signal?: AbortSignal) => keys.encrypt(seed, version, signal),
        (signal?: AbortSignal) => keys.decrypt(sealed, version.keyId, signal),
      ]) {
        const stop = new AbortController();
        const answer = refused(call(stop.signal), ['timeout']);
        await proxy.holding();
        stop.abort();
        await answer;
        // Without a deadline of the caller's, the service has its own.
        await refused(call(), ['timeout', 'unavailable']);
      }
      release();
      await worksAgain(keys);
    });

    itCan(contract.network, 'a connection that is cut is tried again', async ({ target }) => {
      const { proxy, keys, version, sealed } = await throughProxy(target());
      for (const after of [0, 20]) {
        proxy.cut(after, 1);
        expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
        proxy.cut(after, 1);
        expect(await keys.decrypt(await keys.encrypt(seed, version), version.keyId)).toEqual(seed);
      }
    });

    itCan(
      contract.network,
      'connections that are always cut fail, until they hold again',
      async ({ target }) => {
        const { proxy, keys, version, sealed } = await throughProxy(target());
        for (const after of [0, 20]) {
          proxy.cut(after);
          await refused(keys.encrypt(seed, version), ['unavailable']);
          await refused(keys.decrypt(sealed, version.keyId), ['unavailable']);
          proxy.mend();
          await worksAgain(keys);
        }
      },
    );

    itCan(contract.frozen, 'a service that stands still keeps nobody', async ({ freeze, thaw }) => {
      const keys = await open();
      const version = await keys.current();
      const sealed = await keys.encrypt(seed, version);
      await freeze();
      try {
        await refused(keys.encrypt(seed, version, AbortSignal.timeout(200)), ['timeout']);
        await refused(keys.decrypt(sealed, version.keyId, AbortSignal.timeout(200)), ['timeout']);
        await refused(keys.decrypt(sealed, version.keyId), ['timeout', 'unavailable']);
        letAMinutePass();
        await refused(keys.current(AbortSignal.timeout(200)), ['timeout']);
      } finally {
        await thaw();
      }
      await worksAgain(keys);
      expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
    });

    itCan(
      contract.restarted,
      'a restart in mid-run fails calls and falsifies none',
      async ({ stop, start }) => {
        const keys = await open();
        const version = await keys.current();
        const sealed = await keys.encrypt(seed, version);
        let over = false;
        let failures = 0;
        const run = async () => {
          while (!over) {
            try {
              const fresh = await keys.encrypt(seed, version);
              expect(await keys.decrypt(fresh, version.keyId)).toEqual(seed);
              expect(await keys.decrypt(sealed, version.keyId)).toEqual(seed);
            } catch (error) {
              expectRefusal(error, ['unavailable', 'timeout']);
              failures += 1;
              await sleep(10);
            }
          }
        };
        const runs = Promise.all([run(), run(), run(), run()]);
        await Promise.race([runs, stop()]);
        while (failures === 0) await Promise.race([runs, sleep(10)]);
        await start();
        await worksAgain(keys).finally(() => (over = true));
        await runs;
        expect(await keys.current()).toEqual(version);
      },
    );
  });
}

/** Some at a time: a ciphertext has a thousand bits, and a service a network. */
async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const workers = Array.from({ length: 8 }, async () => {
    for (const item of rest) await work(item);
  });
  await Promise.all(workers);
}
