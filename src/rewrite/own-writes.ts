import type { ServerLoad, WatchCacheLag } from '../plan/gauges.ts';

/** Writes are remembered so far apart: a lag isn't told any finer. */
const EVERY_MS = 500;
/** A lag isn't told any longer. */
const KEPT_MS = 10 * 60_000;

/**
 * A watch cache that hasn't moved for so long doesn't lag, it stands still: over a value that nobody opens, or a watch that is
 * stuck. No rest brings it on, and what it stands over may be waiting to be rewritten.
 */
const STANDS_STILL_MS = 30_000;

/** Remembers when this process wrote with which revision, to tell how far watch caches are behind it. */
export class OwnWrites {
  readonly #writes = new Map<string, { at: number; revision: number }[]>();
  /** By server and resource, the revision that a watch cache was last seen at, and since when. */
  readonly #seen = new Map<string, { revision: number; since: number }>();

  /** What was written of late. */
  resources(at: number): string[] {
    return [...this.#writes].flatMap(([resource, writes]) =>
      (writes.at(-1)?.at ?? -Infinity) > at - KEPT_MS ? [resource] : [],
    );
  }

  /** @param at - milliseconds since the epoch */
  add(resource: string, at: number, revision: number): void {
    const writes = this.#writes.get(resource) ?? [];
    const last = writes.at(-1);
    if (last !== undefined && at - last.at < EVERY_MS) return;
    this.#writes.set(resource, [...writes.filter((one) => one.at > at - KEPT_MS), { at, revision }]);
  }

  /**
   * How far each server's watch cache of what was written is behind: as long as the oldest write is ago that it hasn't seen.
   * One that stands still isn't told.
   *
   * @param at - when the look was begun: what was written later it need not show
   */
  lags({ loads, at }: { loads: readonly ServerLoad[]; at: number }): WatchCacheLag[] {
    return loads.flatMap(({ name: server, watchCaches }) =>
      [...this.#writes].flatMap(([resource, writes]): WatchCacheLag[] => {
        const seen = watchCaches[resource];
        if (seen === undefined) return [];
        const missed = writes.find(({ revision }) => revision > seen);
        const since = this.#since(`${server} ${resource}`, seen, at);
        if (missed === undefined || missed.at > at) return [];
        // Before there was anything to follow it had no reason to move.
        const stood = at - Math.max(since, missed.at);
        return stood >= STANDS_STILL_MS ? [] : [{ server, resource, ms: at - missed.at }];
      }),
    );
  }

  #since(cache: string, revision: number, at: number): number {
    const last = this.#seen.get(cache);
    if (last?.revision === revision) return last.since;
    this.#seen.set(cache, { revision, since: at });
    return at;
  }
}
