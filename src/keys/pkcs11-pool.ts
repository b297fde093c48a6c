import { messageOf } from '../errors.ts';
import { type Logger } from '../telemetry/logger.ts';
import { KeyServiceError } from './key-service.ts';
import type { Pkcs11Answer, Pkcs11Failure, Pkcs11KeyOptions, Pkcs11Request } from './pkcs11-messages.ts';
import { PinSource, type PinReference } from './pkcs11-pin.ts';
import { Pkcs11Process } from './pkcs11-process.ts';

export interface Pkcs11PoolOptions extends Pkcs11KeyOptions {
  readonly pin: PinReference;
  /** Sessions with the token at most, each in a process of its own; 2 when absent. */
  readonly sessions?: number;
  /** After how many milliseconds a call of the module counts as hanging, and its process is ended; 30,000 when absent. */
  readonly hangMs?: number;
}

/** What the pool needs of a process. */
export type SessionProcess = Pick<Pkcs11Process, 'pid' | 'busy' | 'ask' | 'kill' | 'stop'>;
type StartProcess = (withoutEnv: string | undefined, onExit: (how: string) => void) => SessionProcess;

const startProcess: StartProcess = (withoutEnv, onExit) => Pkcs11Process.start(withoutEnv, onExit);

interface Job {
  readonly request: Pkcs11Request;
  readonly settle: (outcome: Pkcs11Answer | KeyServiceError) => void;
  settled: boolean;
  /** A request is repeated once, when its session turns out to be lost. */
  repeated: boolean;
}

/** Requests that wait for a session, at most: behind a token that hangs they would pile up. */
const longestQueue = 256;
const firstDelayMs = 100;
const longestDelayMs = 10_000;

/**
 * A bounded number of sessions with one token. A session is started when a request finds none idle; one that was lost, or
 * whose process died, is replaced, with a growing delay when that fails again and again. Logins come one at a time.
 */
export class Pkcs11Pool {
  readonly #options: Pkcs11PoolOptions;
  readonly #log: Logger;
  readonly #start: StartProcess;
  readonly #pin: PinSource;
  /** All processes there are; and those of them that are logged in, and not on their way out. */
  readonly #started = new Set<SessionProcess>();
  readonly #processes = new Set<SessionProcess>();
  #queue: Job[] = [];
  #opening: Promise<void> | undefined;
  #failures = 0;
  #notBefore = 0;
  /** Why the last session couldn't be opened. */
  #refusal: KeyServiceError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param start - makes a process; another than {@link Pkcs11Process.start} for tests */
  constructor(options: Pkcs11PoolOptions, log: Logger, start: StartProcess = startProcess) {
    this.#options = options;
    this.#log = log;
    this.#start = start;
    this.#pin = new PinSource(options.pin);
  }

  /** Ids of the processes that are there, those that are just being started included. */
  get pids(): number[] {
    return [...this.#started].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** @throws KeyServiceError `KeyServiceClosed` */
  assertOpen(): void {
    if (this.#closed) throw closed();
  }

  /** @throws KeyServiceError; kind `timeout` when the signal is aborted first */
  async ask(request: Pkcs11Request, signal?: AbortSignal): Promise<Pkcs11Answer> {
    this.assertOpen();
    if (signal?.aborted === true) throw givenUp();
    if (this.#queue.length >= longestQueue) throw tooMany();
    return await new Promise<Pkcs11Answer>((resolve, reject) => {
      const onAbort = (): void => {
        this.#queue = this.#queue.filter((other) => other !== job);
        job.settle(givenUp());
      };
      const job: Job = {
        request,
        settled: false,
        repeated: false,
        settle: (outcome) => {
          if (job.settled) return;
          job.settled = true;
          signal?.removeEventListener('abort', onAbort);
          if (outcome instanceof KeyServiceError) reject(outcome);
          else resolve(outcome);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(job);
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const job of this.#queue.splice(0)) job.settle(closed());
    await Promise.all([...this.#started].map((one) => one.stop()));
    await this.#opening;
  }

  /** Hands waiting requests to idle sessions, and starts another session where none is idle. */
  #next(): void {
    if (this.#closed) return;
    for (const process of this.#processes) {
      if (process.busy) continue;
      const job = this.#queue.shift();
      if (job === undefined) return;
      void this.#carryOut(process, job);
    }
    if (this.#queue.length === 0 || this.#opening !== undefined) return;
    if (this.#processes.size >= (this.#options.sessions ?? 2)) return;
    const waitMs = this.#notBefore - Date.now();
    if (waitMs <= 0) {
      this.#opening = this.#open().finally(() => {
        this.#opening = undefined;
        this.#next();
      });
    } else if (this.#processes.size === 0 && this.#refusal !== undefined) {
      this.#failAll(this.#refusal);
    } else {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#next(), waitMs);
    }
  }

  async #carryOut(process: SessionProcess, job: Job): Promise<void> {
    try {
      const answer = await this.#ask(process, job.request);
      const failure = answer.type === 'failed' ? answer.failure : undefined;
      if (failure?.sessionLost !== true) this.#failures = 0;
      if (failure === undefined) job.settle(answer);
      else if (failure.sessionLost && !job.repeated && !job.settled) {
        job.repeated = true;
        this.#queue.unshift(job);
      } else job.settle(errorOf(failure));
      if (failure?.sessionLost === true) {
        this.#log.warn(
          { code: failure.code, reason: failure.message },
          'the session with the token was lost',
        );
        this.#processes.delete(process);
        await process.stop();
      }
    } catch (error) {
      job.settle(asKeyServiceError(error));
    } finally {
      this.#next();
    }
  }

  async #open(): Promise<void> {
    let pin = '';
    let process: SessionProcess | undefined;
    try {
      pin = await this.#pin.read();
      const { pin: reference, module, service, token, key, mechanism, ivFrom } = this.#options;
      const started = this.#start(reference.type === 'env' ? reference.name : undefined, (how) =>
        this.#ended(started, how),
      );
      process = started;
      this.#started.add(started);
      const options = { module, service, token, key, mechanism, ...(ivFrom === undefined ? {} : { ivFrom }) };
      const answer = await this.#ask(started, { type: 'open', options, pin });
      if (answer.type === 'failed') throw errorOf(answer.failure);
      this.#refusal = undefined;
      if (this.#closed) await started.stop();
      else this.#processes.add(started);
    } catch (error) {
      const refusal = asKeyServiceError(error);
      if (refusal.code === 'Pkcs11PinIncorrect') this.#pin.refuse(pin, refusal);
      // A PIN that is missing or was refused is looked at again with the next request: nothing is tried meanwhile.
      const awaitsPin = process === undefined || refusal.code === 'Pkcs11PinIncorrect';
      if (!awaitsPin || this.#processes.size > 0) this.#delay();
      this.#refusal = refusal;
      if (this.#processes.size === 0) this.#failAll(refusal);
      await process?.stop();
    }
  }

  async #ask(process: SessionProcess, request: Pkcs11Request): Promise<Pkcs11Answer> {
    const hang = setTimeout(() => {
      this.#log.warn(
        { pid: process.pid, request: request.type },
        'the PKCS#11 module hangs: ending its process',
      );
      process.kill();
    }, this.#options.hangMs ?? 30_000);
    try {
      return await process.ask(request);
    } finally {
      clearTimeout(hang);
    }
  }

  /** A process is gone; by itself, when it is still one of ours. */
  #ended(process: SessionProcess, how: string): void {
    this.#started.delete(process);
    if (!this.#processes.delete(process)) return;
    this.#delay();
    this.#refusal = undefined;
    if (!this.#closed) this.#log.warn({ pid: process.pid, how }, 'the process of the PKCS#11 module ended');
  }

  /** Until when no session is started: longer with each failure since the last answer, with jitter. */
  #delay(): void {
    const delay = Math.min(firstDelayMs * 2 ** this.#failures, longestDelayMs);
    this.#failures += 1;
    this.#notBefore = Date.now() + delay * (0.5 + Math.random() / 2);
  }

  #failAll(error: KeyServiceError): void {
    for (const job of this.#queue.splice(0)) job.settle(error);
  }
}

function errorOf({ kind, code, message, remedy }: Pkcs11Failure): KeyServiceError {
  return new KeyServiceError(kind, code, message, remedy);
}

/** Anything else is of Node's making (no process could be started), and holds no secret. */
function asKeyServiceError(error: unknown): KeyServiceError {
  if (error instanceof KeyServiceError) return error;
  return new KeyServiceError(
    'unavailable',
    'UnavailablePkcs11Process',
    `no process for the PKCS#11 module: ${messageOf(error)}`,
    'look into the limits of processes and memory of this user',
  );
}

/** The caller's deadline came first. */
export function givenUp(): KeyServiceError {
  return new KeyServiceError(
    'timeout',
    'TimeoutPkcs11Token',
    "the token did not answer within the caller's deadline",
    'check that the HSM answers, and how long it takes',
  );
}

function tooMany(): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'UnavailablePkcs11Queue',
    `${longestQueue} requests wait for the token already`,
    'check how long the HSM takes to answer, or allow more sessions',
  );
}

function closed(): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'KeyServiceClosed',
    'this key service was closed',
    'make another',
  );
}
