import type { RequestsMet } from '../plan/gauges.ts';

/** What lies further back isn't of late any more. */
const WINDOW_MS = 10_000;
const MOST = 5_000;
/** Requests from which on a window's p99 may be the best so far: of few, it is chance. */
const TELLING = 100;

/** Remembers how the last requests of this process fared. */
export class RecentRequests {
  #met: { at: number; ms: number; refused: boolean }[] = [];
  #baselineMs = Infinity;

  add(at: number, ms: number, refused: boolean): void {
    this.#met.push({ at, ms, refused });
    if (this.#met.length > MOST) this.#met.shift();
  }

  /** @param now - milliseconds since the epoch */
  summary(now: number): RequestsMet | undefined {
    this.#met = this.#met.filter(({ at }) => at >= now - WINDOW_MS);
    const count = this.#met.length;
    const p99Ms = this.#met.map(({ ms }) => ms).sort((a, b) => a - b)[Math.ceil(count * 0.99) - 1];
    if (p99Ms === undefined) return undefined;
    if (count >= TELLING) this.#baselineMs = Math.min(this.#baselineMs, p99Ms);
    return {
      count,
      refused: this.#met.filter(({ refused }) => refused).length,
      p99Ms,
      baselineMs: Math.min(this.#baselineMs, p99Ms),
    };
  }
}
