import { NOTHING, type ChunkCounts } from './counts.ts';

/** What a resource's objects lie under, by a count that may be of a part of them only. */
export interface FormatSample {
  /** Objects of the resource. */
  objects: number;
  /** Those in the target's format; worked out from the part that was counted, where it wasn't all. */
  inTarget: number;
  /** Whether all were counted. */
  exact: boolean;
  /** etcd's revision when it was begun. */
  revision: number;
  /** Milliseconds that it took. */
  tookMs: number;
}

/** How many objects are where they shall be. */
export function arrived({ objects, inTarget }: FormatSample, goal: 'source' | 'target'): number {
  return goal === 'target' ? inTarget : objects - inTarget;
}

/** What was done meanwhile, where nobody tells: as counted, whoever wrote. */
export function countsSince(arrivedBefore: number, arrivedNow: number): ChunkCounts {
  return {
    ...NOTHING,
    examined: arrivedNow,
    rewritten: Math.max(0, arrivedNow - arrivedBefore),
    current: Math.min(arrivedBefore, arrivedNow),
  };
}

const SOONEST_MS = 5_000;
const LATEST_MS = 60_000;
/** So much of the time is spent on counting at most. */
const SHARE = 20;

/** Milliseconds from one sample to the next: longer while nothing moves, and where a sample takes long. */
export function nextSampleIn(beforeMs: number, moved: boolean, tookMs: number): number {
  const wanted = moved ? SOONEST_MS : Math.min(LATEST_MS, beforeMs * 2);
  return Math.max(wanted, tookMs * SHARE);
}
