/**
 * The wire: what goes into and comes out of workflows and activities. Plain JSON; no key material, ever.
 * What only the cluster's own migrator or storage versions need is in native-types.ts and storage-version-types.ts.
 */
import type { CensusTally, ObjectName, ReadFailure, ReadsTally } from '../src/plan/tally.ts';
import type { Convergence } from '../src/cluster/convergence.ts';
import type { Fence } from '../src/cluster/fence.ts';
import type { Resource } from '../src/cluster/resources.ts';
import type { Arrangement, ProviderRef, ProviderReference } from '../src/encryption-config/types.ts';
import type { ConfiguredName, EnvelopeTarget } from '../src/envelope/types.ts';
import type { FormatSample } from '../src/plan/format-sample.ts';
import type { NativeEvidence } from '../src/plan/native-migration.ts';
import type { Check, NodeFindings } from '../src/plan/preflight.ts';
import type { SealBytes } from '../src/plan/seal-bytes.ts';
import type { Observed, Phase, Gate } from '../src/plan/transition.ts';
import type { MessageKind } from '../src/plan/messages.ts';
import type { Rotation, Steady } from '../src/plan/rotation.ts';
import type { Change, ClusterLook, Expected, Loaded, SealingKey } from '../src/plan/watch.ts';
import type { ChunkCounts } from '../src/plan/counts.ts';
import type { ChunkLimits, ChunkResult, KeyRange, Refusal } from '../src/rewrite/engine.ts';
import type { Trial } from '../src/rewrite/round-trip.ts';
import type { ScheduleWindow } from '../src/plan/schedule.ts';
import type { WaivedValue, Waiver } from '../src/plan/waivers.ts';
import type { ClusterSpec, Migration } from '../src/spec/migration.ts';

export type {
  CensusTally,
  Change,
  ClusterLook,
  Expected,
  Fence,
  FormatSample,
  Loaded,
  Check,
  ChunkCounts,
  ChunkLimits,
  ChunkResult,
  Convergence,
  Gate,
  KeyRange,
  MessageKind,
  NodeFindings,
  ObjectName,
  Phase,
  ReadFailure,
  Refusal,
  Resource,
  WaivedValue,
  Waiver,
};

// --- activities of the cluster -------------------------------------------------------------------------------------

export interface PreflightInput {
  migration: Migration;
  /** Hash that each API server should have loaded, by its name. */
  hashes: Readonly<Record<string, string>>;
  /** Names that stand in the files; a workflow of the version before sends none. */
  names?: ConfiguredName[];
  /** Of a rotation: the key id that it leads to. */
  rotateTo?: string;
  /** What the nodes' plugins add to each value; a workflow of the version before sends none. */
  sealBytes?: SealBytes;
}

export interface PreflightResult {
  checks: Check[];
  /** The resources that are served, with where they lie. */
  resources: Resource[];
  /** The resources among them that canaries can be made of. */
  canaries: string[];
}

export interface LoadedInput {
  cluster: ClusterSpec;
  apiServer: string;
  /** `sha256:…` */
  hash: string;
  /** Milliseconds to wait for it; 0 looks once. */
  waitMs: number;
  /** Whether a provider is on its way out that may be dead: then nobody waits for its health. */
  leaving: boolean;
}

/** What was seen of an API server. `refusedReload`: it looked at the file meanwhile and did not take it. */
export type LoadedResult = Convergence & { refusedReload?: true };

export interface LookInput {
  cluster: ClusterSpec;
  /** Identities of listed servers from when they last answered. */
  known: string[];
}

export interface WatchInput extends LookInput {
  expected: Record<string, Expected>;
  /** Milliseconds to watch for, at most. */
  forMs: number;
}

export interface FenceInput {
  cluster: ClusterSpec;
  fence: Fence;
}

export interface SealedCanary {
  resource: Resource;
  /** What tells it from the migration's other canaries. */
  purpose: string;
  nonce: string;
  /** The sealed object, base64. */
  value: string;
}

export interface ProveReadingInput extends FenceInput {
  namespace: string;
  canaries: SealedCanary[];
}

export interface ProveWritingInput {
  cluster: ClusterSpec;
  namespace: string;
  resources: Resource[];
  nonce: string;
  /** What a canary must be sealed with. */
  expected: ProviderRef;
  names: ConfiguredName[];
}

export type Proof =
  | {
      proven: true;
      keyIds: string[];
      /** As API servers show them in their metrics: `sha256:…` each; a worker of a version before tells none. */
      keyIdHashes?: string[];
    }
  | { proven: false; why: string };

export interface PlanShardsInput {
  cluster: ClusterSpec;
  resource: Resource;
  /** How many ranges are wanted. */
  shards: number;
}

export interface PlannedShard extends KeyRange {
  objects: number;
}

/** What writes only while nothing has changed: the fence, and the API servers. */
export interface GuardedInput extends LookInput, FenceInput {
  expected: Record<string, Expected>;
}

export interface RewriteChunkInput extends GuardedInput {
  resource: Resource;
  range: KeyRange;
  limits: ChunkLimits;
  /** When it may write; absent: at any time. */
  schedule?: ScheduleWindow[];
  /** Values that are left as they are; absent where there are none. */
  waived?: WaivedValue[];
  /** Where storage versions change: which objects' conversion is tried before they are rewritten. */
  trial?: Trial;
}

/** The configuration that a node's agent rewrites by: what its API server runs. */
export interface NodeConfiguration {
  file: string;
  /** `sha256:…` */
  hash: string;
}

/** Of the engine `Etcd`, for the agent of a node. */
export interface EtcdChunkInput extends RewriteChunkInput {
  configuration: NodeConfiguration;
  /** What API servers were proven to seal with, where that has a key id. */
  sealing?: SealingKey;
}

/** Which objects are counted, and by what. */
export interface FormatSampleInput {
  cluster: ClusterSpec;
  resource: Resource;
  target: EnvelopeTarget;
  names: ConfiguredName[];
}

export interface CensusChunkInput {
  cluster: ClusterSpec;
  resource: Resource;
  cursor?: string;
  target: EnvelopeTarget;
  names: ConfiguredName[];
  /** Only objects that were written at this revision of etcd or later. */
  sinceRevision?: number;
  /** Values that are counted apart; absent where there are none. */
  waived?: WaivedValue[];
}

export interface CensusChunkResult {
  tally: CensusTally;
  cursor?: string;
}

export interface ReadObjectsInput {
  cluster: ClusterSpec;
  resources: Resource[];
  objects: ObjectName[];
}

export interface ReadChunkInput {
  cluster: ClusterSpec;
  resource: Resource;
  cursor?: string;
  /** One object of so many is read. */
  every: number;
  /** Values that aren't read; absent where there are none. */
  waived?: WaivedValue[];
}

export type ReadsResult = ReadsTally;

export interface ReadChunkResult extends ReadsResult {
  cursor?: string;
}

export interface CompactionInput {
  cluster: ClusterSpec;
  revision: number;
}

export interface RemoveCanariesInput extends FenceInput {
  namespace: string;
  resources: Resource[];
}

// --- activities of a node's agent ----------------------------------------------------------------------------------

/** A file on the agent's node, and what a migration does to it. */
export interface NodeFile {
  file: string;
  resources: string[];
  source: ProviderRef;
  target: ProviderReference;
  /** Source and target are one entry: its key is rotated, and the file stays. */
  rotation?: true;
}

export interface ArrangeInput extends NodeFile {
  migrationId: string;
  arrangement: Arrangement;
  /** The hash the file should have before the migration's first edit of it: that of preflight. */
  checkedHash: string;
  /** What keyferry may have left in the file: a change by somebody else is shown against that. Any, if absent. */
  left?: readonly Arrangement[];
}

export interface ArrangeResult {
  hash: string;
}

/** A version of the key that a plugin of the agent's node serves. */
export interface PluginKeyInput {
  /** Where the plugin listens. */
  endpoint: string;
  keyId: string;
}

export interface SealCanariesInput {
  target: ProviderReference;
  /** Of a rotation: the version that is sealed with, which the plugin doesn't announce yet. */
  rotateTo?: string;
  namespace: string;
  /** One canary of each is sealed. */
  resources: Resource[];
  purpose: string;
  nonce: string;
}

export interface SealCanariesResult {
  /** Of a kms target. */
  keyId?: string;
  /** base64, in the order asked for. */
  values: string[];
}

/** Whether an agent could rewrite by the engine `Etcd`. */
export interface TryEtcdEngineInput {
  cluster: ClusterSpec;
  file: string;
  resources: Resource[];
}

export interface DropKeptInput {
  file: string;
  migrationId: string;
}

// --- workflows -----------------------------------------------------------------------------------------------------

export interface ShardInput extends GuardedInput {
  resource: Resource;
  range: KeyRange;
  limits: ChunkLimits;
  schedule?: ScheduleWindow[];
  /** The shard's number in its parent's list, for its reports. */
  index: number;
  /** Objects between two reports to the parent. */
  reportEvery: number;
  /** Objects of the pass, in all shards; absent from a parent of a version before. */
  ofAll?: number;
  counts: ChunkCounts;
  refusals: Refusal[];
  waived?: WaivedValue[];
  trial?: Trial;
  /** Of the engine `Etcd`: whose agents take its chunks. */
  agents?: EtcdAgents;
}

export interface EtcdAgents {
  nodes: (NodeConfiguration & { node: string })[];
  sealing?: SealingKey;
}

export interface ShardResult {
  /** Where another run would go on; undefined once the range is done. */
  cursor?: string;
  counts: ChunkCounts;
  refusals: Refusal[];
  revision: number;
  /** Whether it stopped because an API server isn't the proven one any more, or isn't listed. */
  changed: boolean;
}

export interface ShardReport {
  index: number;
  counts: ChunkCounts;
  stalled?: string;
  /** Why it isn't at full speed. */
  slowed?: string;
}

/** How far a walk over all objects got; what one run of it hands to the next. */
export interface WalkState<T> {
  /** The resource that is walked, by its place in the list. */
  resource: number;
  cursor?: string;
  result: T;
  /** What the parent was last told to wait for, and how often it was told anything. */
  waitingFor?: string;
  reports: number;
}

export interface CensusReport {
  waitingFor?: string;
  /** Objects handled so far. */
  objects: number;
}

export interface CensusInput {
  cluster: ClusterSpec;
  resources: Resource[];
  target: EnvelopeTarget;
  names: ConfiguredName[];
  /** Only objects that were written at this revision of etcd or later: a delta census. */
  sinceRevision?: number;
  /** Values that are counted apart; absent where there are none. */
  waived?: WaivedValue[];
  /** Handed over when a run goes on in another. */
  from?: WalkState<CensusTally>;
}

export interface ReadsInput {
  cluster: ClusterSpec;
  resources: Resource[];
  /** One object of so many is read; 1 for all. */
  every: number;
  /** Values that aren't read; absent where there are none. */
  waived?: WaivedValue[];
  /** Handed over when a run goes on in another. */
  from?: WalkState<ReadsResult>;
}

export interface MigrationInput {
  migration: Migration;
  /** Whether the server has keyferry's search attributes; the client finds out. */
  searchAttributes: boolean;
  /** Handed over when a run goes on in another. */
  state?: MigrationState;
}

/** A stretch of keys that one shard workflow walks, and how far it got. */
export interface ShardState extends PlannedShard {
  resource: string;
  cursor?: string;
  done: boolean;
  counts: ChunkCounts;
  stalled?: string;
  slowed?: string;
}

export interface TimelineEntry {
  /** Milliseconds since the epoch. */
  at: number;
  actor: string;
  /** Whether Temporal acknowledged the message to a client that named its actor; a signal's actor is anybody's word. */
  verified: boolean;
  what: string;
  reason?: string;
}

/** What whoever rewrites a cluster's objects knows of that. Bounded in size. */
export interface RunState {
  /** Names kept files, and holds the cluster's Lease; the same through all runs. */
  id: string;
  /** What decisions depend on; of it only what all have. */
  seen: { fenced: boolean; held: string | undefined };
  checks: Check[];
  resources: Resource[];
  /** The fence's epoch: whoever comes with an older one is refused. */
  epoch: number;
  shards: ShardState[];
  /** Of the engine `StorageVersionMigration`: what names those of the pass under way; absent where shards are walked. */
  nativeAttempt?: number | undefined;
  /** What the cluster's own migrator was asked for, and how that ended. */
  native?: NativeEvidence[];
  refusals: Refusal[];
  reads?: ReadsResult;
  /** etcd's revision at the end of the last rewriting. */
  rewrittenAt: number;
  /** Objects per second that a person asked for instead of the spec's; 0: no limit. */
  objectsPerSecond?: number;
  /** What the step under way waits for. */
  waiting?: { for: string; since: number } | undefined;
  /** Since when the step under way has failed, again and again. */
  failingSince?: number | undefined;
  /** When a hold was asked for; it holds once every writer has answered. */
  stopping: boolean;
  rate: { at: number; done: number }[];
  timeline: TimelineEntry[];
  startedAt: number;
  finishedAt?: number;
}

/** All that a migration knows; what one run hands to the next. Bounded in size. */
export interface MigrationState extends RunState {
  seen: Observed;
  canaryResources: string[];
  names: ConfiguredName[];
  /** The hash of each API server's file in each arrangement, worked out on its node before anything is changed. */
  hashes: Record<string, Record<Arrangement, string>>;
  /** What each API server was when it was last seen to have loaded its file. */
  loaded: Record<string, Loaded>;
  /** The hash for which each API server was last restarted: it isn't done twice without a person. */
  restarted: Record<string, string>;
  /** The census before anything was changed, and the newest one; without the objects to be read. */
  before?: CensusTally;
  census?: CensusTally;
  /** What is to be read through every API server: one object of each DEK. */
  toRead: ObjectName[];
  /** etcd's revision when the newest census began: whatever it missed was written since. */
  censusRevision: number;
  /** The key id that every API server was last seen to seal the target with, where its provider has any. */
  keyId?: string;
  /** What every API server was last proven to seal with, as its metrics show it; absent from when the writer may change. */
  sealing?: SealingKey | undefined;
  /** Of a migration within one kms entry, once preflight knows its key ids. */
  rotation?: Rotation;
  /** Since when every API server has been seen to seal with a rotation's key id. */
  steadySince?: Steady | undefined;
  passes: { side: 'source' | 'target'; pass: number; counts: ChunkCounts }[];
  /** Objects that persons gave up; those with a proof are left out of rewriting, census and reads. */
  waivers: Waiver[];
  /** When the present writer was proven on all API servers, before anything was rewritten; absent since one changed. */
  writerSince?: number | undefined;
  /** Until when it soaks; 0 before that has begun. */
  soakUntil: number;
}
