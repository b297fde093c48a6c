import type { CatchingUp, ServerLoad } from './gauges.ts';

/** Watchers that were closed within one look: one of them comes back, and is closed again. */
const MANY = 10;
/** Looks in a row in which some were closed. */
const IN_A_ROW = 2;
/** Objects a second: watchers that are sent fewer have caught up. One that begins anew is sent ten times as many. */
const CAUGHT_UP = 2_000;
/** Seconds: where a watcher begins anew within two looks, that isn't worth a pause. */
const SHORT_RELIST = 10;
/** A watcher that needs longer isn't waited for: it may never follow. */
const LONGEST_MS = 5 * 60_000;

interface State {
  startedAt: number;
  /** Looks in a row, up to the last, in which watchers were closed. */
  inARow: number;
  /** When waiting began, in milliseconds since the epoch. */
  since?: number;
  /** Whether waiting was given up, until no watcher is closed any more. */
  inVain?: boolean;
}

/**
 * Tells when watchers need a rest. One that an API server closed comes back and is sent what it missed, and while it is, may fall
 * behind by a thousand objects at most (kube-apiserver's pkg/storage/cacher): so the more it has missed, the
 * sooner it is closed again, however slowly rewriting goes on, until it has missed too much and begins with every object there is.
 */
export class ClosedWatchers {
  readonly #states = new Map<string, State>();
  #last: { at: number; waiting: CatchingUp[] } = { at: -Infinity, waiting: [] };

  /**
   * Which servers' watchers have to be waited for.
   *
   * @param at - of the look, in milliseconds since the epoch; one may be told again and again
   * @param resources - what is rewritten
   * @param relist - seconds that a watcher of that takes which begins anew
   */
  waiting(
    at: number,
    servers: readonly { now: ServerLoad; before?: ServerLoad | undefined }[],
    resources: readonly string[],
    relist: number,
  ): CatchingUp[] {
    if (at === this.#last.at) return this.#last.waiting;
    const seconds = (at - this.#last.at) / 1_000;
    const waiting = servers.flatMap(({ now, before }): CatchingUp[] => {
      const { name, startedAt } = now;
      const known = this.#states.get(name);
      const state = known?.startedAt === startedAt ? known : { startedAt, inARow: 0 };
      if (before?.startedAt !== startedAt) {
        this.#states.set(name, state);
        return [];
      }
      const closed = now.terminatedWatchers - before.terminatedWatchers;
      const objectsPerSecond = (sentOf(now, resources) - sentOf(before, resources)) / seconds;
      const next = nextOf(state, at, closed, objectsPerSecond);
      this.#states.set(name, next);
      return relist < SHORT_RELIST || next.since === undefined ? [] : [{ server: name, objectsPerSecond }];
    });
    this.#last = { at, waiting };
    return waiting;
  }
}

function nextOf(state: State, at: number, closed: number, objectsPerSecond: number): State {
  const { startedAt, since, inVain = false } = state;
  if (since !== undefined) {
    if (objectsPerSecond < CAUGHT_UP) return { startedAt, inARow: 0 };
    return at - since < LONGEST_MS ? state : { startedAt, inARow: 0, inVain: true };
  }
  if (closed === 0) return { startedAt, inARow: 0 };
  const inARow = state.inARow + 1;
  if (inVain || (closed < MANY && inARow < IN_A_ROW)) return { startedAt, inARow, inVain };
  return { startedAt, inARow, since: at };
}

function sentOf({ sentToWatchers }: ServerLoad, resources: readonly string[]): number {
  return resources.reduce((sum, resource) => sum + (sentToWatchers[resource] ?? 0), 0);
}
