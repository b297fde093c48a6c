import type { ChunkCounts } from '../plan/counts.ts';
import type { Explanation } from '../cluster/refusal.ts';
import type { Resource } from '../cluster/resources.ts';
import type { Verdict } from '../plan/governor.ts';

/** A stretch of one resource's keys: `start` inclusive, `end` exclusive, in etcd's order. */
export interface KeyRange {
  start: string;
  end: string;
}

/** An object that refused to be rewritten for good; listed by name, with no word of its content. */
export interface Refusal extends Explanation {
  resource: string;
  namespace?: string;
  name: string;
  /** The HTTP status it answered with; absent where no API server was asked. */
  status?: number;
}

/** How much of a range one chunk may do, and how fast. */
export interface ChunkLimits {
  /** Milliseconds after which no new object is begun. */
  timeMs: number;
  /** Objects at most. */
  objects: number;
  /** Requests under way at once. */
  concurrency: number;
  /** Objects per second; 0 is unlimited. */
  objectsPerSecond: number;
}

export interface ChunkResult {
  /** Where to go on: everything before it is done. Undefined once the range is at its end. */
  cursor: string | undefined;
  counts: ChunkCounts;
  /** The first refusals of this chunk. */
  refusals: Refusal[];
  /** etcd's revision when the chunk ended. */
  revision: number;
  /** Why the chunk stopped early, where it did. */
  stalled?: string;
  /** What slowed the chunk down, where anything did; an engine doesn't tell, for it only keeps to its pace. */
  slowed?: Slowed;
}

/** Why rewriting isn't at full speed: the words may change by a figure while the gauge stays. */
export interface Slowed {
  gauge: NonNullable<Verdict['gauge']> | 'beginning';
  reason: string;
}

/** What a chunk keeps to. */
export interface ChunkPace {
  /** How many objects a batch may hold, of as many as it could. */
  batch(most: number): number;
  /** Waits until a batch of so many objects may begin; answers with why nothing may be written now, where that is so. */
  next(objects: number): Promise<string | undefined>;
}

export interface ChunkOptions {
  signal: AbortSignal;
  /** Called before objects are written, every second at least; throws where that is no longer allowed. */
  guard: () => Promise<void>;
  /** Called whenever everything before the cursor is done. */
  onProgress: (cursor: string, counts: ChunkCounts, refusals: readonly Refusal[]) => void;
  /** Asked before each batch, once `guard` has let it pass. */
  pace: ChunkPace;
  /** Told of each request that was answered: when it was sent (milliseconds since the epoch), and whether it was refused for lack of room. */
  met: (sentAt: number, refused: boolean) => void;
  /** Told of etcd's revision with which objects were written. */
  wrote: (revision: number) => void;
  /** Values that are left as they are: by their key, the revision that wrote them. */
  waived: ReadonlyMap<string, number>;
}

/** Rewrites a stretch of keys; stops between objects when the signal aborts, and tells where. */
export interface RewriteEngine {
  rewriteChunk(
    resource: Resource,
    range: KeyRange,
    limits: ChunkLimits,
    options: ChunkOptions,
  ): Promise<ChunkResult>;
}
