import type { CatchingUp, ServerLoad } from './gauges.ts';
import { closedLimit } from './relist.ts';

/** Watchers that were closed within one look: one of them comes back, and is closed again. */
const MANY = 10;
/** Looks in a row in which too many were closed. */
const IN_A_ROW = 2;
/** Objects a second: watchers that are sent fewer have caught up. One that begins anew is sent ten times as many. */
const CAUGHT_UP = 2_000;
/** Seconds: where a watcher begins anew within two looks, that isn't worth a pause. */
const SHORT_RELIST = 10;
/** A watcher that needs longer isn't waited for: it may never follow. */
const LONGEST_MS = 5 * 60_000;

interface State {
  startedAt: number;
  /** Looks in a row, up to the last, in which too many watchers were closed. */
  inARow: number;
  /** Since when, in milliseconds since the epoch, watchers are waited for, and how fast they were last sent what they miss. */
  waiting?: { since: number; objectsPerSecond: number };
  /** Whether waiting was given up, until no watcher is closed any more. */
  inVain?: boolean;
}

/**
 * Tells when watchers need a rest. One that an API server closed comes back and is sent what it missed, and while it is, may fall
 * behind by a thousand objects at most (kube-apiserver's pkg/storage/cacher): so the more it has missed, the
 * sooner it is closed again, however slowly rewriting goes on, until it has missed too much and begins with every object there is.
 */
export class ClosedWatchers {
  #states = new Map<string, State>();
  #lookedAt = -Infinity;

  /**
   * Which servers' watchers have to be waited for. A server that doesn't answer meanwhile is no reason not to.
   *
   * @param at - of the look, in milliseconds since the epoch; one may be told again and again. Without one, those that were told before
   * @param resources - what is rewritten
   * @param relist - seconds that a watcher of that takes which begins anew
   */
  waiting(
    at: number | undefined,
    servers: readonly { now: ServerLoad; before?: ServerLoad | undefined }[],
    resources: readonly string[],
    relist: number,
  ): CatchingUp[] {
    if (at !== undefined && at > this.#lookedAt) {
      this.#states =
        relist < SHORT_RELIST ? new Map<string, State>() : this.#after(at, servers, resources, relist);
      this.#lookedAt = at;
    }
    return [...this.#states].flatMap(([server, { waiting }]) =>
      waiting === undefined ? [] : [{ server, objectsPerSecond: waiting.objectsPerSecond }],
    );
  }

  #after(
    at: number,
    servers: readonly { now: ServerLoad; before?: ServerLoad | undefined }[],
    resources: readonly string[],
    relist: number,
  ): Map<string, State> {
    const seconds = (at - this.#lookedAt) / 1_000;
    const states = new Map([...this.#states].map(([name, state]) => [name, unseen(state, at)]));
    for (const { now, before } of servers) {
      const { name, startedAt } = now;
      const known = states.get(name);
      if (before?.startedAt !== startedAt) {
        states.set(name, known?.startedAt === startedAt ? known : { startedAt, inARow: 0 });
        continue;
      }
      const since = (of: 'terminatedWatchers' | 'sentToWatchers'): number =>
        sumOf(now[of], resources) - sumOf(before[of], resources);
      const state = this.#states.get(name) ?? { startedAt, inARow: 0 };
      const closed = { count: since('terminatedWatchers'), limit: closedLimit(relist) };
      states.set(name, nextOf(state, at, closed, since('sentToWatchers') / seconds));
    }
    return states;
  }
}

/** Of a server that there is nothing new of: what was waited for still is, what was closed is long ago. */
function unseen({ startedAt, waiting }: State, at: number): State {
  const still = waiting !== undefined && at - waiting.since < LONGEST_MS;
  return { startedAt, inARow: 0, ...(still ? { waiting } : {}) };
}

function nextOf(
  { startedAt, inARow, waiting, inVain = false }: State,
  at: number,
  closed: { count: number; limit: number },
  objectsPerSecond: number,
): State {
  if (waiting !== undefined) {
    if (objectsPerSecond < CAUGHT_UP) return { startedAt, inARow: 0 };
    const { since } = waiting;
    if (at - since < LONGEST_MS) return { startedAt, inARow, waiting: { since, objectsPerSecond } };
    return { startedAt, inARow: 0, inVain: true };
  }
  if (closed.count === 0) return { startedAt, inARow: 0 };
  if (closed.count < closed.limit) return { startedAt, inARow: 0, inVain };
  const row = inARow + 1;
  if (inVain || (closed.count < MANY && row < IN_A_ROW)) return { startedAt, inARow: row, inVain };
  return { startedAt, inARow: row, waiting: { since: at, objectsPerSecond } };
}

function sumOf(counts: Readonly<Record<string, number>>, resources: readonly string[]): number {
  return resources.reduce((sum, resource) => sum + (counts[resource] ?? 0), 0);
}
