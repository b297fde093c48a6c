/** Objects a shard should hold at least: each costs Temporal as much as rewriting hundreds of objects costs API servers, or thousands etcd. */
const LEAST = { APIServer: 1_000, Etcd: 10_000 } as const;
/** Shards of one migration at most: each costs its parent a few events of history. */
export const MAX_SHARDS = 128;

/** How many shards a resource gets, of those that all resources share in proportion to their objects. */
export function shardsFor(objects: number, allObjects: number, engine: keyof typeof LEAST): number {
  if (objects === 0) return 0;
  const all = Math.min(MAX_SHARDS, Math.ceil(allObjects / LEAST[engine]));
  return Math.max(1, Math.round((all * objects) / allObjects));
}

/** Progress reports that all shards of a pass may send their parent together: what keeps its history short. */
const REPORTS = 150;

/** After how many objects a shard reports. */
export function reportEvery(shards: number, objects: number): number {
  const reports = Math.max(1, Math.floor(REPORTS / Math.max(1, shards)));
  return Math.max(1, Math.ceil(objects / reports));
}

/** A chunk holds so many objects at most. */
const MOST_PER_CHUNK = 20_000;
/** The first chunk of a shard: so many, and where shards are small enough to report often, what lies between two reports. */
const FIRST_CHUNK = { least: 50, most: 5_000 };
/** What a chunk should take where objects are rewritten fast: what Temporal takes for each is a small part of it. */
const CHUNK_AIM_MS = 3_000;

/**
 * How many objects the first chunk of a shard may hold. A chunk is what a death repeats, and its end is when progress is
 * told: in a small migration chunks are small, so that it can be watched.
 */
export function chunkObjects(shards: number, objects: number): number {
  return Math.min(FIRST_CHUNK.most, Math.max(FIRST_CHUNK.least, reportEvery(shards, objects)));
}

/** How many objects the next chunk may hold, by how long the last one took in milliseconds; never fewer than the first. */
export function nextChunkObjects(first: number, last: { objects: number; tookMs: number }): number {
  const aimed = Math.round((last.objects * CHUNK_AIM_MS) / Math.max(1, last.tookMs));
  return Math.max(first, Math.min(MOST_PER_CHUNK, aimed));
}
