/** As types.ts, of the cluster's own storage version migrator. */
import type { NativeApi, NativeMemory, NativeObject, NativeOutcome } from '../src/plan/native-migration.ts';
import type { ClusterSpec } from '../src/spec/migration.ts';
import type { NodeAgent } from './storage-version-types.ts';
import type { ChunkCounts, FenceInput, FormatSampleInput, GuardedInput, Resource } from './types.ts';

export interface AskForNativeInput extends FenceInput {
  resource: Resource;
  /** What the StorageVersionMigration is called: a retry finds its own by it. */
  name: string;
}

export interface NativeAsked {
  api: NativeApi;
  object: NativeObject;
}

export interface WatchNativeInput {
  cluster: ClusterSpec;
  api: NativeApi;
  resource: Resource;
  name: string;
  /** As which it was last seen; absent: as gone. */
  revision?: string;
  /** Milliseconds to watch for, at most. */
  forMs: number;
  /** Where nothing else may have changed meanwhile. */
  guarded?: Omit<GuardedInput, 'cluster'>;
}

export interface WithdrawNativeInput {
  cluster: ClusterSpec;
  api: NativeApi;
  object: NativeObject;
}

/** By what objects are encrypted with. */
export type FormatProgress = Omit<FormatSampleInput, 'cluster' | 'resource'> & { goal: 'source' | 'target' };

/** By the versions that they lie in. */
export interface VersionProgress {
  /** Whose agents look into values; none where they aren't encrypted. */
  openedBy: NodeAgent[];
}

/** What the cluster's own storage version migrator is asked for, and how it is followed. */
export interface NativeInput extends AskForNativeInput {
  /** Where an API server that changes ends it; absent: none is looked at. */
  guarded?: Omit<GuardedInput, 'cluster' | 'fence'>;
  /** What progress is counted by; absent: none is. */
  progress?: FormatProgress | VersionProgress;
  /** Its number in its parent's list, for its reports. */
  index: number;
  /** Objects between two reports to the parent. */
  reportEvery: number;
  counts: ChunkCounts;
  /** Handed over when a run goes on in another. */
  from?: NativeState;
}

/** What one run of a followed StorageVersionMigration hands to the next. */
export interface NativeState {
  asked: NativeAsked;
  memory: NativeMemory;
  /** No more of it is wanted: it is followed to its end all the same. */
  stopping: boolean;
  changed: boolean;
  /** Objects that were where they shall be when it began. */
  arrivedBefore: number;
  /** When it was last seen to have moved any; absent from a run of the version before. */
  movedAt?: number;
}

export interface NativeResult {
  /** etcd's revision once it had ended; 0 where no progress was counted. */
  revision: number;
  outcome: NativeOutcome;
  /** As it was last seen. */
  object: NativeObject;
  apiVersion: string;
  /** Why it ended so, in words that hold nothing of an object. */
  why?: string;
  /** Whether its controller may be writing on, and nothing can tell. */
  writerLeft: boolean;
  counts: ChunkCounts;
  /** Whether it was asked to end, or an API server isn't the proven one any more: then another is to be asked for. */
  stopped: boolean;
  changed: boolean;
}
