import { LRUCache } from 'lru-cache';
import { KeyServiceError } from './key-service.ts';
import { withinDeadline } from './deadline.ts';
import { type LocalKek } from './local-kek.ts';

/** What bounds a {@link KekCache}. */
export interface KekCacheOptions {
  /** How many KEKs are kept; the least recently used goes first. */
  readonly maxKeys: number;
  /** How long a KEK is used before it is unwrapped again, in milliseconds: so long does a revoked key still open. */
  readonly ttlMs: number;
  /** How much longer it is used while the key service is away, in milliseconds. */
  readonly graceMs: number;
  readonly now: () => number;
}

/** What a cache did since it was made, and how many KEKs it holds. */
export interface KekCacheReport {
  readonly keys: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

interface Unwrapped {
  readonly kek: LocalKek;
  readonly at: number;
}

interface Waiter {
  readonly take: (kek: LocalKek) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * Unwrapped KEKs in memory: bounded, each for a time, wiped when they go. Whoever needs one that is being unwrapped already
 * waits for that: one remote call per wrapped KEK.
 */
export class KekCache {
  readonly #options: KekCacheOptions;
  readonly #kept: LRUCache<string, Unwrapped>;
  readonly #waiting = new Map<string, Waiter[]>();
  #closed = false;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(options: KekCacheOptions) {
    this.#options = options;
    this.#kept = new LRUCache({
      max: options.maxKeys,
      ttl: options.ttlMs + options.graceMs,
      ttlResolution: 0,
      perf: { now: options.now },
      dispose: ({ kek }, _id, reason) => {
        if (reason === 'evict' || reason === 'expire') this.#evictions += 1;
        kek.wipe();
      },
    });
  }

  /**
   * Calls `work` with the KEK, in the same turn as it was found or unwrapped: it can't be wiped meanwhile.
   *
   * @param id - of the wrapped KEK; the same for no two
   * @param unwrap - asks the key service, at its own deadline: others may be waiting for it too
   * @param signal - ends this caller's wait
   */
  async use<T>(
    id: string,
    unwrap: () => Promise<LocalKek>,
    work: (kek: LocalKek) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    const kept = this.#kept.get(id);
    if (kept !== undefined && this.#options.now() - kept.at < this.#options.ttlMs) {
      this.#hits += 1;
      return work(kept.kek);
    }
    this.#misses += 1;
    const worked = new Promise<T>((resolve, reject) => {
      this.#wait(id, unwrap, { take: (kek) => resolve(work(kek)), fail: reject });
    });
    try {
      return await withinDeadline(worked, signal);
    } catch (error) {
      const stale = this.#kept.get(id);
      if (stale === undefined || !(error instanceof KeyServiceError) || !error.retryable) throw error;
      return work(stale.kek);
    }
  }

  /** Keeps a KEK that is known without asking; it is the cache's from now on. */
  keep(id: string, kek: LocalKek): void {
    if (this.#closed) kek.wipe();
    else this.#kept.set(id, { kek, at: this.#options.now() });
  }

  /** Wipes the KEKs whose time is over: without it they would lie there until somebody asks for them. */
  purge(): void {
    this.#kept.purgeStale();
  }

  /** Wipes all, and those still being unwrapped as they come. */
  close(): void {
    this.#closed = true;
    this.#kept.clear();
  }

  report(): KekCacheReport {
    return {
      keys: this.#kept.size,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }

  #wait(id: string, unwrap: () => Promise<LocalKek>, waiter: Waiter): void {
    const others = this.#waiting.get(id);
    if (others !== undefined) {
      others.push(waiter);
      return;
    }
    const waiters = [waiter];
    this.#waiting.set(id, waiters);
    unwrap().then(
      (kek) => {
        this.#waiting.delete(id);
        if (this.#closed) kek.wipe();
        // Before it is kept, for what is kept may be wiped by the next one that comes.
        for (const { take, fail } of waiters) orFail(() => take(kek), fail);
        this.keep(id, kek);
      },
      (error: unknown) => {
        this.#waiting.delete(id);
        // Denied, or gone: what was unwrapped before is no longer for use either.
        if (!(error instanceof KeyServiceError && error.retryable)) this.#kept.delete(id);
        for (const { fail } of waiters) fail(error);
      },
    );
  }
}

function orFail(work: () => void, fail: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    fail(error);
  }
}
