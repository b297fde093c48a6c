import { afterEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { Pkcs11Answer, Pkcs11Request } from './pkcs11-messages.ts';
import { Pkcs11Pool, type SessionProcess } from './pkcs11-pool.ts';

/** Answers as the test says; a stub in the place of a process with a PKCS#11 module. */
class StubProcess implements SessionProcess {
  busy = false;
  stopped = false;
  readonly pid: number;
  readonly #answer: (request: Pkcs11Request) => Promise<Pkcs11Answer>;
  readonly #onExit: (how: string) => void;

  constructor(
    pid: number,
    answer: (request: Pkcs11Request) => Promise<Pkcs11Answer>,
    onExit: (how: string) => void,
  ) {
    this.pid = pid;
    this.#answer = answer;
    this.#onExit = onExit;
  }

  async ask(request: Pkcs11Request): Promise<Pkcs11Answer> {
    this.busy = true;
    try {
      return await this.#answer(request);
    } finally {
      this.busy = false;
    }
  }

  kill(): void {
    this.#onExit('SIGKILL');
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.#onExit('exit code 0');
    return Promise.resolve();
  }
}

const opened: Pkcs11Answer = { type: 'opened' };
const fine: Pkcs11Answer = { type: 'current', keyId: 'k', description: 'a key' };
const lost: Pkcs11Answer = {
  type: 'failed',
  failure: {
    kind: 'unavailable',
    code: 'UnavailablePkcs11Token',
    message: 'the session is gone',
    remedy: 'none',
    sessionLost: true,
  },
};

const pools: Pkcs11Pool[] = [];
const PIN_VARIABLE = 'TEST_POOL_PIN';

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

/** A pool whose processes, in the order they are started, answer what isn't `open` so. */
function poolOf(...answers: ((request: Pkcs11Request) => Promise<Pkcs11Answer>)[]) {
  process.env[PIN_VARIABLE] = 'a PIN';
  const started: StubProcess[] = [];
  const pool = new Pkcs11Pool(
    {
      service: 's',
      module: '/m.so',
      token: { label: 't' },
      key: { label: 'k' },
      mechanism: 'AES-GCM',
      pin: { type: 'env', name: PIN_VARIABLE },
      sessions: 1,
    },
    pino({ level: 'silent' }),
    (_, onExit) => {
      const answer = answers[started.length] ?? answers.at(-1);
      const made = new StubProcess(
        started.length + 1,
        (request) =>
          request.type === 'open' || answer === undefined ? Promise.resolve(opened) : answer(request),
        onExit,
      );
      started.push(made);
      return made;
    },
  );
  pools.push(pool);
  return { pool, started };
}

const says = (answer: Pkcs11Answer) => () => Promise.resolve(answer);

describe('a session with a token that was lost', () => {
  it('is replaced, and the caller has the answer of the next one', async () => {
    const { pool, started } = poolOf(says(lost), says(fine));
    expect(await pool.ask({ type: 'current' })).toEqual(fine);
    expect(started.map(({ stopped }) => stopped)).toEqual([true, false]);
  });

  it('again at once is told, rather than tried for ever', async () => {
    const { pool, started } = poolOf(says(lost), says(lost), says(fine));
    await expect(pool.ask({ type: 'current' })).rejects.toThrow(
      expect.objectContaining({ kind: 'unavailable', message: 'the session is gone' }),
    );
    expect(started).toHaveLength(2);
    expect(await pool.ask({ type: 'current' })).toEqual(fine);
  });
});

describe('requests for a busy session', () => {
  it('wait in their order, and one that is given up is never sent', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const sent: string[] = [];
    const { pool } = poolOf(async (request) => {
      sent.push('keyId' in request ? request.keyId : request.type);
      await held;
      return fine;
    });
    const ask = (keyId: string, signal?: AbortSignal) =>
      pool.ask({ type: 'decrypt', keyId, bytes: new Uint8Array() }, signal);
    const stop = new AbortController();
    const [one, two, three] = [ask('1'), ask('2', stop.signal), ask('3')];
    stop.abort();
    await expect(two).rejects.toThrow(expect.objectContaining({ kind: 'timeout' }));
    release();
    await Promise.all([one, three]);
    expect(sent).toEqual(['1', '3']);
  });

  it('are refused where too many wait already', async () => {
    const { pool } = poolOf(() => new Promise(() => undefined));
    const waiting = Array.from({ length: 300 }, () => pool.ask({ type: 'current' }));
    const outcomes = Promise.allSettled(waiting);
    await expect(waiting.at(-1)).rejects.toThrow(expect.objectContaining({ code: 'UnavailablePkcs11Queue' }));
    await pool.close();
    const reasons = (await outcomes).flatMap((one) =>
      one.status === 'rejected' ? [one.reason as { code: string }] : [],
    );
    expect(reasons.filter(({ code }) => code === 'UnavailablePkcs11Queue')).toHaveLength(300 - 256);
  });
});
