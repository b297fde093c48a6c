/** Objects a second that rewriting begins with at least: as fast as API servers take them one by one. */
const FIRST_PER_SECOND = 500;
/**
 * Divided by the seconds that a watcher takes which begins anew, the rate that rewriting begins with: 5,000 objects a second where
 * there are 10,000, for such a watcher has them again within half a second.
 */
const FIRST_BY_RELIST = 2_500;
/**
 * Of what was rewritten so far, what a second more may have at most. The watch cache of a resource that is seldom written
 * keeps 100 events, and twice as many whenever it is full of fresh ones, up to 102,400 (kube-apiserver's
 * pkg/storage/cacher). So it holds half of what was rewritten at least: two seconds of it. A watcher that is closed and comes
 * back within that time has missed nothing; from a smaller cache it would have to begin with every object there is.
 */
const PART_PER_SECOND = 0.25;
/** What is older isn't fresh to a watch cache: it shrinks again. */
const FRESH_MS = 75_000;

/** Lets a process begin slowly, and get faster with what it has rewritten. */
export class SlowStart {
  #passed = 0;
  #next = -Infinity;

  /**
   * Takes the next turn, for a batch.
   *
   * @param now - milliseconds since the epoch
   * @param relist - seconds that a watcher takes which begins anew
   * @returns milliseconds until it may begin
   */
  turn(objects: number, now: number, relist: number): number {
    if (now - this.#next > FRESH_MS) this.#passed = 0;
    const begin = Math.max(now, this.#next);
    const first = Math.max(FIRST_PER_SECOND, FIRST_BY_RELIST / relist);
    this.#next = begin + (objects * 1000) / (first + PART_PER_SECOND * this.#passed);
    this.#passed += objects;
    return begin - now;
  }
}
