import { clipped } from './words.ts';

/** What rewriting may hurt, or may have to wait for. */
export type Gauge =
  | 'latency'
  | 'refusals'
  | 'queues'
  | 'watchers'
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
}

export const FREE: Verdict = { level: 'free', factor: 1 };

/** Below this part of full speed only a pause is slower. */
export const LEAST_FACTOR = 0.1;
/** What is halved, and what is added, in so many milliseconds; no verdict changes more than that. */
export const STEP_MS = 5_000;
const GAIN = 0.1;
const LOSS = 0.5;
/** Characters of all reasons together. */
const MAX_REASON = 200;

/**
 * The next verdict: as slow as the strictest gauge demands. Speed is halved while a gauge warns, and comes back by a tenth
 * of full speed at a time (additive increase, multiplicative decrease), so that many workers settle on what the cluster
 * bears without knowing of each other.
 *
 * @param before - the factor of the verdict before; 1 at first
 * @param sinceMs - milliseconds since that verdict
 */
export function govern(readings: readonly Reading[], before: number, sinceMs: number): Verdict {
  const critical = readings.flatMap((one) => reached(one, one.critical));
  if (critical.length > 0) return { level: 'pause', factor: LEAST_FACTOR, ...strictest(critical) };
  const steps = Math.min(1, Math.max(0, sinceMs / STEP_MS));
  const warned = readings.flatMap((one) => reached(one, one.warn));
  if (warned.length > 0) {
    return {
      level: 'slow',
      factor: Math.max(LEAST_FACTOR, before * LOSS ** steps),
      ...strictest(warned),
    };
  }
  const factor = Math.min(1, before + GAIN * steps);
  if (factor === 1) return FREE;
  const reason = `getting faster again: ${Math.round(factor * 100)} % of full speed`;
  return { level: 'slow', factor, gauge: 'recovering', reason };
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
  /** How far beyond its limit. */
  beyond: number;
  words: string;
}

function reached({ gauge, value, says }: Reading, limit: number | undefined): Reached[] {
  if (limit === undefined || value < limit) return [];
  return [{ gauge, beyond: value / limit, words: says(limit) }];
}

function strictest(all: readonly Reached[]): { gauge: Gauge; reason: string } {
  const [first, ...others] = [...all].sort((a, b) => b.beyond - a.beyond);
  if (first === undefined) throw new Error('only called with what has reached its limit');
  return {
    gauge: first.gauge,
    reason: clipped([first, ...others].map(({ words }) => words).join('; '), MAX_REASON),
  };
}
