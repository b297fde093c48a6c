import { setTimeout as sleep } from 'node:timers/promises';
import { restMs, type Verdict } from '../plan/governor.ts';
import type { Slowed } from './engine.ts';

/** A rest is never longer: the activity that rests has to answer in time. */
const LONGEST_REST_MS = 5 * 60_000;

/** Keeps one chunk to the rate that is asked for, and to what the governor lets it do. */
export class Pace {
  readonly #objectsPerSecond: number;
  readonly #verdict: () => Promise<Verdict>;
  readonly #signal: AbortSignal;
  #since = Date.now();
  #last: Verdict | undefined;

  /** @param objectsPerSecond - 0: no limit */
  constructor(objectsPerSecond: number, verdict: () => Promise<Verdict>, signal: AbortSignal) {
    this.#objectsPerSecond = objectsPerSecond;
    this.#verdict = verdict;
    this.#signal = signal;
  }

  /** How many objects a batch may hold, of as many as it could. */
  batch(most: number): number {
    return this.#objectsPerSecond === 0 ? most : Math.min(most, Math.max(1, this.#objectsPerSecond));
  }

  /**
   * Waits until a batch of so many objects may begin. They are waited for beforehand, so that chunk after chunk keeps to the
   * rate.
   *
   * @returns why nothing may be written now, where that is so
   */
  async next(objects: number): Promise<string | undefined> {
    const { factor } = await this.#asked();
    const rest = restMs(objects, Date.now() - this.#since, factor, this.#objectsPerSecond);
    if (rest > 0) {
      await sleep(Math.min(rest, LONGEST_REST_MS), undefined, { signal: this.#signal }).catch(
        () => undefined,
      );
    }
    const { level, reason } = await this.#asked();
    this.#since = Date.now();
    return level === 'pause' ? (reason ?? 'paused') : undefined;
  }

  /** What has slowed the chunk down at its end. */
  get slowed(): Slowed | undefined {
    if (this.#last?.level !== 'slow') return undefined;
    const { gauge, reason } = this.#last;
    return gauge === undefined || reason === undefined ? undefined : { gauge, reason };
  }

  /** Why nothing may be written, where that is so. */
  get paused(): Verdict['gauge'] {
    return this.#last?.level === 'pause' ? this.#last.gauge : undefined;
  }

  async #asked(): Promise<Verdict> {
    this.#last = await this.#verdict();
    return this.#last;
  }
}
