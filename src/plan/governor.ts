import { clipped } from './words.ts';

/** What rewriting may hurt, or may have to wait for. */
export type Gauge =
  | 'latency'
  | 'refusals'
  | 'queues'
  | 'watchers'
  | 'watch-cache'
  | 'memory'
  | 'etcd-latency'
  | 'etcd-leader'
  | 'etcd-room'
  | 'key-provider'
  | 'schedule';

/** What a gauge shows. From `warn` on rewriting slows down, from `critical` on it pauses. */
export interface Reading {
  gauge: Gauge;
  /** Greater is worse, in whatever unit the gauge has. */
  value: number;
  /** Absent where the gauge never slows down, but pauses. */
  warn?: number;
  /** Absent where the gauge only slows down. */
  critical?: number;
  /** What it pauses for passes, and leaves nothing behind: after it rewriting goes on as fast as it was. */
  passes?: boolean;
  /** The figure in words, beside the limit that it has reached. */
  says: (limit: number) => string;
}

/** How fast rewriting may go, and why not faster. */
export interface Verdict {
  level: 'free' | 'slow' | 'pause';
  /** Part of full speed, above 0 and 1 at most: what it goes on with, at once or after the pause. */
  factor: number;
  /** What slows it down or makes it pause, the strictest first; absent where nothing does. */
  reason?: string;
  /** The strictest gauge; `recovering` where all are well again, and the speed isn't yet. */
  gauge?: Gauge | 'recovering';
  /** The factor at which a gauge last began to warn, or little less than the ceiling before; absent once that was passed without one. */
  ceiling?: number;
}

/** What a verdict goes on from. */
export type Before = Pick<Verdict, 'factor' | 'gauge' | 'ceiling'>;

export const FREE: Verdict = { level: 'free', factor: 1 };

/** Below this part of full speed only a pause is slower. */
export const LEAST_FACTOR = 0.1;
/** What one step changes; none changes more, however long ago the verdict before was. */
export const STEP_MS = 5_000;
/** What is left of the speed when a gauge begins to warn, and after each step in which one still does; of the ceiling, at least. */
const LOSS = 0.7;
/** Part of the ceiling that is come back to quickly, half of what is missing in each step. */
const BELOW_CEILING = 0.9;
/** What is added to that in a step, as long as a ceiling is known. */
const PROBE = 0.02;
/** What is added in a step where none is. */
const GAIN = 0.1;
/** Characters of all reasons together. */
const MAX_REASON = 200;

/**
 * The next verdict: as slow as the strictest gauge demands. Speed is cut when a gauge begins to warn, and in each step in which
 * one still does; once all are calm it comes back quickly to a little below where the warning began, and from there by
 * small steps, so that it settles at what the cluster bears instead of meeting its limit again and again. Many
 * workers settle so without knowing of each other.
 *
 * @param before - the verdict before; {@link FREE} at first
 * @param sinceMs - milliseconds since that verdict
 */
export function govern(readings: readonly Reading[], before: Before, sinceMs: number): Verdict {
  const steps = Math.min(1, Math.max(0, sinceMs / STEP_MS));
  const critical = readings.flatMap((one) => reached(one, one.critical));
  const warned = readings.flatMap((one) => reached(one, one.warn));
  const begins = warned.length > 0 && (before.gauge === undefined || before.gauge === 'recovering');
  // What begins to warn on the way back up, slower than was borne before, comes of what was before: it is no new limit at once.
  const ceiling = begins ? Math.max(before.factor, LOSS * (before.ceiling ?? 0)) : before.ceiling;
  const known = ceiling === undefined ? {} : { ceiling };
  const cut = warned.length === 0 ? 1 : LOSS ** (begins ? 1 : steps);
  const slower = Math.max(LEAST_FACTOR, before.factor * cut);
  if (critical.length > 0) {
    const factor = critical.every(({ passes }) => passes) ? slower : LEAST_FACTOR;
    return { level: 'pause', factor, ...strictest(critical), ...known };
  }
  if (warned.length > 0) return { level: 'slow', factor: slower, ...strictest(warned), ...known };
  const factor = Math.min(1, before.factor + steps * gainOf(before.factor, ceiling));
  if (factor === 1) return FREE;
  const reason = `getting faster again: ${Math.round(factor * 100)} % of full speed`;
  const calm: Verdict = { level: 'slow', factor, gauge: 'recovering', reason };
  return ceiling === undefined || factor >= ceiling ? calm : { ...calm, ceiling };
}

/** What a whole step adds to a factor. */
function gainOf(factor: number, ceiling: number | undefined): number {
  if (ceiling === undefined) return GAIN;
  return PROBE + Math.max(0, BELOW_CEILING * ceiling - factor) / 2;
}

/**
 * How long to rest from a batch to the next, so that a chunk works for `factor` of the time and does no more objects in
 * a second than it may, or than `factor` of them.
 *
 * @param objects - of the batch
 * @param tookMs - milliseconds since the rest before ended
 * @param objectsPerSecond - 0: no limit
 */
export function restMs(objects: number, tookMs: number, factor: number, objectsPerSecond: number): number {
  const least = objectsPerSecond === 0 ? 0 : (objects * 1000) / objectsPerSecond;
  return Math.max(0, Math.max(tookMs, least) / factor - tookMs);
}

interface Reached {
  gauge: Gauge;
  passes: boolean;
  /** How far beyond its limit. */
  beyond: number;
  words: string;
}

function reached({ gauge, value, says, passes = false }: Reading, limit: number | undefined): Reached[] {
  if (limit === undefined || value < limit) return [];
  return [{ gauge, passes, beyond: value / limit, words: says(limit) }];
}

function strictest(all: readonly Reached[]): { gauge: Gauge; reason: string } {
  const [first, ...others] = [...all].sort((a, b) => b.beyond - a.beyond);
  if (first === undefined) throw new Error('only called with what has reached its limit');
  return {
    gauge: first.gauge,
    reason: clipped([first, ...others].map(({ words }) => words).join('; '), MAX_REASON),
  };
}
