/** As types.ts, of a StorageVersionMigration of keyferry. */
import type { Redefinition, StoredResource } from '../src/plan/stored-resource.ts';
import type { StorageObserved } from '../src/plan/storage-versions.ts';
import type { VersionTally } from '../src/plan/version-tally.ts';
import type { ClusterSpec } from '../src/spec/migration.ts';
import type {
  StorageVersionMigration,
  StorageVersionMigrationSpec,
} from '../src/spec/storage-version-migration.ts';
import type { Check, ChunkCounts, FenceInput, LookInput, Resource, RunState, WalkState } from './types.ts';

export interface StoragePreflightInput {
  cluster: ClusterSpec;
  resources: string[];
  /** Agents look into the values, which are encrypted. */
  opened: boolean;
  /** Absent from a workflow of the version before. */
  engine?: StorageVersionMigrationSpec['engine'];
}

export interface StoragePreflightResult {
  checks: Check[];
  /** Those whose storage version could be told. */
  stored: StoredResource[];
  /** Identities of the API servers. */
  known: string[];
}

export interface StorageLookInput extends LookInput {
  stored: StoredResource[];
}

/** What definitions say now, in the order asked for. */
export interface StorageLook {
  stored: StoredResource[];
  changes: Redefinition[];
  /** What keeps API servers from storing all as wanted, in words. */
  dissenters: string[];
  /** Identities of the API servers. */
  known: string[];
}

export interface VersionsChunkInput {
  cluster: ClusterSpec;
  /** In its storage version. */
  resource: Resource;
  cursor?: string;
  /** Only objects that were written at this revision of etcd or later. */
  sinceRevision?: number;
}

/** Of the agent of a node: by the configuration that its API server has. */
export interface OpenedVersionsChunkInput extends VersionsChunkInput {
  file: string;
}

export interface SampleVersionsInput {
  cluster: ClusterSpec;
  resource: Resource;
  file: string;
}

export interface VersionsChunkResult {
  tally: VersionTally;
  cursor?: string;
}

export interface KeepStoredInput extends FenceInput {
  stored: StoredResource;
  /** What its definition named as stored versions before anything was changed. */
  before: string[];
}

export interface KeepStoredResult {
  /** What was put back. */
  back: string[];
  /** What could not be, for spec.versions doesn't have it any more. */
  gone: string[];
}

export interface TrimInput extends FenceInput {
  stored: StoredResource;
}

/** A node's agent, and the file that its API server has its keys from. */
export interface NodeAgent {
  node: string;
  file: string;
}

export interface VersionsInput {
  cluster: ClusterSpec;
  /** Each in its storage version. */
  resources: Resource[];
  sinceRevision?: number;
  /** Whose agents look into values, where they are encrypted. */
  openedBy?: NodeAgent[];
  /** Handed over when a run goes on in another. */
  from?: WalkState<VersionTally>;
}

export interface StorageVersionInput {
  migration: StorageVersionMigration;
  /** Whether the server has keyferry's search attributes; the client finds out. */
  searchAttributes: boolean;
  /** Handed over when a run goes on in another. */
  state?: StorageVersionState;
}

/** All that a StorageVersionMigration knows. */
export interface StorageVersionState extends RunState {
  seen: StorageObserved;
  /** What definitions said when API servers were last seen to agree on them. */
  stored: StoredResource[];
  /** The stored versions of each definition, before anything was changed. */
  storedBefore: Record<string, string[]>;
  before?: VersionTally;
  census?: VersionTally;
  passes: { pass: number; counts: ChunkCounts }[];
  /** Identities of the API servers, from when they last answered: one that is away is no stranger. */
  known: string[];
  /** When API servers were seen to agree. */
  agreedAt: number;
  /** The definitions that were trimmed. */
  trimmed: string[];
}
