import type { ChunkCounts } from '../plan/counts.ts';
import type { Resource } from '../cluster/resources.ts';

/** A stretch of one resource's keys: `start` inclusive, `end` exclusive, in etcd's order. */
export interface KeyRange {
  start: string;
  end: string;
}

/** An object that refused to be rewritten for good; listed by name, with no word of its content. */
export interface Refusal {
  resource: string;
  namespace?: string;
  name: string;
  /** The HTTP status it answered with. */
  status: number;
  /** The API's machine-readable reason, the name of the webhook or policy, or the fields at fault; never a message, which may quote data. */
  reason: string;
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
}

/** Rewrites a stretch of keys; stops between objects when the signal aborts, and tells where. */
export interface RewriteEngine {
  rewriteChunk(
    resource: Resource,
    range: KeyRange,
    limits: ChunkLimits,
    options: { signal: AbortSignal; onProgress: (cursor: string, counts: ChunkCounts) => void },
  ): Promise<ChunkResult>;
}
