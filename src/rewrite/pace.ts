import { setTimeout as sleep } from 'node:timers/promises';
import { restMs, type Verdict } from '../plan/governor.ts';
import type { Slowed } from './engine.ts';

/** A rest is never longer: the activity that rests has to answer in time. */
const LONGEST_REST_MS = 5 * 60_000;
/** A pause that may be over by then is waited for here: a chunk that ends for it is begun again some seconds after it. */
const SHORT_PAUSE_MS = 10_000;
const ASK_AGAIN_MS = 1_000;

/** What one chunk keeps to. */
export interface PaceOptions {
  /** 0: no limit. */
  objectsPerSecond: number;
  /** How fast the governor lets rewriting go on now. */
  verdict: () => Promise<Verdict>;
  /** Takes the next turn of all chunks of this process for a batch; answers with how many milliseconds it is away. */
  turn: (objects: number) => number;
  /** Ends a rest. */
  signal: AbortSignal;
}

const BEGINNING: Slowed = {
  gauge: 'beginning',
  reason: 'rewriting begins slowly, for the watch caches of API servers grow with what they see',
};

/** Keeps one chunk to the rate that is asked for, and to what the governor lets it do. */
export class Pace {
  readonly #options: PaceOptions;
  #since = Date.now();
  #last: Verdict | undefined;
  #begins = false;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** How many objects a batch may hold, of as many as it could. */
  batch(most: number): number {
    const { objectsPerSecond } = this.#options;
    return objectsPerSecond === 0 ? most : Math.min(most, Math.max(1, Math.floor(objectsPerSecond)));
  }

  /**
   * Waits until a batch of so many objects may begin. They are waited for beforehand, so that chunk after chunk keeps to the
   * rate.
   *
   * @returns why nothing may be written now, where that is so
   */
  async next(objects: number): Promise<string | undefined> {
    const before = await this.#asked();
    const { objectsPerSecond, turn } = this.#options;
    const own = restMs(objects, Date.now() - this.#since, before.factor, objectsPerSecond);
    // What isn't written has had no turn.
    const others = before.level === 'pause' ? 0 : turn(objects);
    this.#begins = others > own;
    await this.#rest(Math.min(LONGEST_REST_MS, Math.max(own, others)));
    const { level, reason } = await this.#afterShortPause();
    this.#since = Date.now();
    return level === 'pause' ? (reason ?? 'paused') : undefined;
  }

  /** What has slowed the chunk down at its end. */
  get slowed(): Slowed | undefined {
    if (this.#begins) return BEGINNING;
    if (this.#last?.level !== 'slow') return undefined;
    const { gauge, reason } = this.#last;
    return gauge === undefined || reason === undefined ? undefined : { gauge, reason };
  }

  /** Why nothing may be written, where that is so. */
  get paused(): Verdict['gauge'] {
    return this.#last?.level === 'pause' ? this.#last.gauge : undefined;
  }

  async #afterShortPause(): Promise<Verdict> {
    const until = Date.now() + SHORT_PAUSE_MS;
    let verdict = await this.#asked();
    while (verdict.level === 'pause' && Date.now() < until && !this.#options.signal.aborted) {
      await this.#rest(ASK_AGAIN_MS);
      verdict = await this.#asked();
    }
    return verdict;
  }

  async #rest(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.#options.signal }).catch(() => undefined);
  }

  async #asked(): Promise<Verdict> {
    this.#last = await this.#options.verdict();
    return this.#last;
  }
}
