/** Objects a shard should hold at least: each costs Temporal as much as rewriting hundreds of objects costs API servers, or thousands etcd. */
const LEAST = { APIServer: 1_000, Etcd: 5_000 } as const;
/** Shards of one migration at most: each costs its parent a few events of history. */
export const MAX_SHARDS = 128;

/**
 * How many shards a resource gets, of those that all resources share in proportion to their objects.
 *
 * @param atOnce - shards walked at a time: all of them are a multiple of it, so that none is walked alone at the end
 */
export function shardsFor(
  objects: number,
  allObjects: number,
  engine: keyof typeof LEAST,
  atOnce: number,
): number {
  if (objects === 0) return 0;
  const worth = Math.min(MAX_SHARDS, Math.ceil(allObjects / LEAST[engine]));
  const all = worth <= atOnce ? worth : worth - (worth % atOnce);
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
/** What a chunk should take where objects are rewritten fast, in milliseconds: what Temporal takes for each is a small part of it. */
const AIM_MS = { least: 2_000, most: 8_000 };
/** In between it is such a part of all objects of the pass, so that whoever watches sees it go on. */
const STEP = 1 / 25;

/**
 * How many objects the first chunk of a shard may hold. A chunk is what a death repeats, and its end is when progress is
 * told: in a small migration chunks are small, so that it can be watched.
 */
export function chunkObjects(shards: number, objects: number): number {
  return Math.min(FIRST_CHUNK.most, Math.max(FIRST_CHUNK.least, reportEvery(shards, objects)));
}

/**
 * How many objects the next chunk of a shard may hold; never fewer than the first.
 *
 * @param last - what the last one did, and how many milliseconds it took with all that Temporal takes for it
 * @param all - objects of the pass, in all shards
 */
export function nextChunkObjects(
  first: number,
  last: { objects: number; tookMs: number },
  all: number,
): number {
  const perMs = last.objects / Math.max(1, last.tookMs);
  const aimed = Math.min(perMs * AIM_MS.most, Math.max(perMs * AIM_MS.least, all * STEP));
  return Math.max(first, Math.min(MOST_PER_CHUNK, Math.round(aimed)));
}
