/** Objects a shard should hold at least, so that small clusters aren't cut into crumbs. */
const LEAST = 500;
/** Shards of one migration at most: each costs its parent a few events of history. */
export const MAX_SHARDS = 128;

/** How many shards a resource gets, of those that all resources share in proportion to their objects. */
export function shardsFor(objects: number, allObjects: number): number {
  if (objects === 0) return 0;
  const all = Math.min(MAX_SHARDS, Math.ceil(allObjects / LEAST));
  return Math.max(1, Math.round((all * objects) / allObjects));
}

/** Progress reports that all shards of a pass may send their parent together: what keeps its history short. */
const REPORTS = 150;

/** After how many objects a shard reports. */
export function reportEvery(shards: number, objects: number): number {
  const reports = Math.max(1, Math.floor(REPORTS / Math.max(1, shards)));
  return Math.max(1, Math.ceil(objects / reports));
}

/** A chunk holds so many objects at most, and where shards are small enough to report often, what lies between two reports. */
const MOST_PER_CHUNK = 5_000;
const LEAST_PER_CHUNK = 50;

/**
 * How many objects a chunk of a shard may hold. A chunk is what a death repeats, and its end is when progress is told:
 * in a small migration chunks are small, so that it can be watched.
 */
export function chunkObjects(shards: number, objects: number): number {
  return Math.min(MOST_PER_CHUNK, Math.max(LEAST_PER_CHUNK, reportEvery(shards, objects)));
}
