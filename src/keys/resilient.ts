import {
  BrokenCircuitError,
  CircuitState,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhen,
  retry,
  wrap,
  type CircuitBreakerPolicy,
} from 'cockatiel';
import { type Logger } from '../telemetry/logger.ts';
import { withinDeadline } from './deadline.ts';
import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';

/** How a failing key service is treated. Times are in milliseconds. */
export interface ResilienceOptions {
  /** How often a call that failed for the moment is repeated, within its caller's deadline. */
  readonly retries: number;
  /** The first pause before a repetition; each one after is about twice as long, with jitter. */
  readonly retryDelayMs: number;
  /** After so many failures in a row, calls are refused without being sent. */
  readonly failuresToOpen: number;
  /** How long calls are refused before one is let through to try; longer each time, with jitter, up to the other. */
  readonly openForMs: number;
  readonly openForAtMostMs: number;
}

const defaults: ResilienceOptions = {
  retries: 2,
  retryDelayMs: 100,
  failuresToOpen: 5,
  openForMs: 1_000,
  openForAtMostMs: 15_000,
};

/** `open`: calls are refused without being sent; `half-open`: one is under way that decides. */
export type Circuit = 'closed' | 'open' | 'half-open';

/**
 * A key service whose passing failures (kinds `unavailable` and `timeout`) are tried again, and that is left alone for a
 * while when it fails again and again: whoever asks then has the answer at once, and a service that comes back isn't
 * overrun. All other answers pass through, and count as signs of life.
 */
export class ResilientKeyService implements KeyService {
  readonly #service: KeyService;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #policy: {
    execute<T>(work: (context: { signal: AbortSignal }) => Promise<T>, signal?: AbortSignal): Promise<T>;
  };
  #lastFailure: KeyServiceError | undefined;

  constructor(service: KeyService, log: Logger, options: Partial<ResilienceOptions> = {}) {
    const { retries, retryDelayMs, failuresToOpen, openForMs, openForAtMostMs } = { ...defaults, ...options };
    this.#service = service;
    const passing = handleWhen((error) => error instanceof KeyServiceError && error.retryable);
    this.#breaker = circuitBreaker(passing, {
      breaker: new ConsecutiveBreaker(failuresToOpen),
      halfOpenAfter: new ExponentialBackoff({ initialDelay: openForMs, maxDelay: openForAtMostMs }),
    });
    this.#policy = wrap(
      retry(passing, {
        maxAttempts: retries,
        backoff: new ExponentialBackoff({ initialDelay: retryDelayMs, maxDelay: 10 * retryDelayMs }),
      }).dangerouslyUnref(),
      this.#breaker,
    );
    this.#breaker.onBreak(() => {
      log.warn(
        { reason: this.#lastFailure?.message },
        'the key service fails again and again; leaving it alone',
      );
    });
    this.#breaker.onReset(() => log.info('the key service answers again; calls go through'));
  }

  get circuit(): Circuit {
    if (this.#breaker.state === CircuitState.Closed) return 'closed';
    return this.#breaker.state === CircuitState.HalfOpen ? 'half-open' : 'open';
  }

  current(signal?: AbortSignal): Promise<KeyVersion> {
    return this.#call((inner) => this.#service.current(inner), signal);
  }

  encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    return this.#call((inner) => this.#service.encrypt(plaintext, version, inner), signal);
  }

  decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer> {
    return this.#call((inner) => this.#service.decrypt(ciphertext, keyId, inner), signal);
  }

  close(): Promise<void> {
    return this.#service.close();
  }

  async #call<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const attempt = async (inner: AbortSignal) => {
      try {
        return await work(inner);
      } catch (error) {
        if (error instanceof KeyServiceError && error.retryable) this.#lastFailure = error;
        throw error;
      }
    };
    try {
      // Neither a pause nor another's trial call (which a half-open circuit waits for) outlasts the deadline.
      return await withinDeadline(
        this.#policy.execute(({ signal: inner }) => attempt(inner), signal),
        signal,
      );
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) throw error;
      throw new KeyServiceError(
        'unavailable',
        'KeyServiceLeftAlone',
        `the key service failed again and again, and is left alone for some seconds; at last: ${this.#lastFailure?.message ?? 'unknown'}`,
        this.#lastFailure?.remedy ?? 'try again',
      );
    }
  }
}
