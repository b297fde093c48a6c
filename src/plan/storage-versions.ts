import { objects } from './words.ts';

export type StoragePhase = 'preflight' | 'rewrite' | 'verify' | 'trim' | 'completed' | 'stopped' | 'failed';

/** All that the next step of a StorageVersionMigration depends on. */
export interface StorageObserved {
  preflight: 'due' | 'passed' | 'failed';
  /** Whether a definition names stored versions that are to be removed. */
  trimmable: boolean;
  /** Whether versions at rest were counted before anything was rewritten. */
  counted: boolean;
  /** Whether this run holds the cluster's Lease. */
  holding: boolean;
  /** Whether whoever may still write for an earlier step is shut out. */
  fenced: boolean;
  /** `refused`: objects that refused for good. `inARow`: passes since a person looked at it. */
  rewrite: { pass: number; inARow: number; begun: boolean; finished: boolean; refused: number };
  /** Of the engine `StorageVersionMigration`, whose first pass is the cluster's own migrator's; absent of API servers. */
  native?: {
    /** How far trying the conversion of every object got, which comes before anything is handed over. */
    trial: 'due' | 'begun' | 'done';
    /** Objects whose conversion failed, or loses something. */
    refused: number;
  };
  /** Whether every API server was seen to store the wanted versions, since the last rewriting. */
  agreed: boolean;
  /** Whether what was written before they agreed has landed, or timed out. */
  settled: boolean;
  census: VersionsView | undefined;
  /** Whether reading was proven, by every served version through every API server, and how many reads failed. */
  reads: { failed: number } | undefined;
  approved: boolean;
  /** Whether what was written since the census was looked at, right before the trim. */
  delta: boolean;
  trimmed: boolean;
  /** Whether a person asked for its end. */
  stopping: boolean;
  /** Why nothing may move now, if so. */
  held: string | undefined;
}

/** What a census of versions found, as far as decisions need it. */
export interface VersionsView {
  outdated: number;
  untold: number;
}

export type StorageStep = { phase: StoragePhase; reason: string } & (
  | {
      kind:
        | 'preflight'
        | 'fence'
        | 'count'
        | 'try'
        | 'agree'
        | 'settle'
        | 'census'
        | 'read'
        | 'delta'
        | 'trim'
        | 'release'
        | 'hold';
    }
  /** `natively`: by the cluster's own migrator. */
  | { kind: 'rewrite'; pass: number; natively: boolean }
  | { kind: 'wait'; gate: 'trim' }
  | { kind: 'stop'; remedy: string }
  | { kind: 'finish'; outcome: 'completed' | 'stopped' | 'failed' }
);

/** Passes of rewriting before it stops and asks: each should find fewer objects than the one before. */
export const MAX_STORAGE_PASSES = 3;

/**
 * The next step: a pure function of what is known.
 *
 * Promise: a stored version is removed only after every API server stores the new one, what was written before has landed, a
 * census of etcd found no object in another version, all served versions could be read through every API server, a person
 * approved, and nothing that was written since lies in another version. The cluster's own migrator, which removes it by its
 * own word, is asked for nothing before every conversion was tried.
 */
export function decideStorage(seen: StorageObserved): StorageStep {
  const step = seen.stopping && !seen.trimmed ? end('stopped', STOPPED) : towardsTrim(seen);
  const { phase } = step;
  if (step.kind === 'finish') {
    return seen.holding
      ? { kind: 'release', phase, reason: 'the cluster is free for another migration' }
      : step;
  }
  // Before a hold, too: "paused" is said once nobody can write who was asked to before.
  if (!seen.fenced && seen.preflight === 'passed')
    return { kind: 'fence', phase, reason: 'whoever may still write for an earlier step is shut out' };
  if (seen.held !== undefined) return { kind: 'hold', phase, reason: seen.held };
  return step;
}

/** The same, with nothing that holds it up for a moment or for a person. */
export function unheldStorage(seen: StorageObserved): StorageObserved {
  return { ...seen, held: undefined, fenced: true };
}

const STOPPED = 'ended by a person; nothing is lost, for every version is still served';

function end(outcome: 'completed' | 'stopped' | 'failed', reason: string): StorageStep {
  return { kind: 'finish', phase: outcome, outcome, reason };
}

function towardsTrim(seen: StorageObserved): StorageStep {
  if (seen.preflight === 'failed')
    return end('failed', 'preflight found what must be mended first; nothing was changed');
  if (seen.preflight === 'due')
    return { kind: 'preflight', phase: 'preflight', reason: 'nothing is changed before all checks pass' };
  if (!seen.counted)
    return {
      kind: 'count',
      phase: 'preflight',
      reason: 'versions at rest are counted, to compare with at the end',
    };
  return rewriting(seen) ?? verifying(seen) ?? trimming(seen);
}

function rewriting({ rewrite, native }: StorageObserved): StorageStep | undefined {
  const phase = 'rewrite';
  if (rewrite.inARow > MAX_STORAGE_PASSES) {
    return {
      kind: 'stop',
      phase: 'verify',
      reason: `objects in other versions were found after each of ${MAX_STORAGE_PASSES} passes`,
      remedy: 'see who writes them (an API server with an old definition?), then resume',
    };
  }
  if (!rewrite.finished) {
    // What it leaves behind is the API servers'.
    if (native !== undefined && rewrite.pass === 1) return handingOver(native);
    const reason = 'every object in another version is written anew by an API server';
    return { kind: 'rewrite', phase, pass: rewrite.pass, natively: false, reason };
  }
  if (rewrite.refused > 0) {
    return {
      kind: 'stop',
      phase,
      reason: `${objects(rewrite.refused)} refused to be rewritten, and no stored version was removed`,
      remedy: 'see each with its reason in "keyferry status"; mend what it says, then resume',
    };
  }
  return undefined;
}

function handingOver({ trial, refused }: NonNullable<StorageObserved['native']>): StorageStep {
  const phase = 'rewrite';
  if (trial === 'done') {
    const reason = "every object in another version is written anew by the cluster's own migrator";
    return { kind: 'rewrite', phase, pass: 1, natively: true, reason };
  }
  if (refused > 0) {
    return {
      kind: 'stop',
      phase,
      reason: `${objects(refused)} refused to be converted, and the cluster's own migrator was asked for nothing`,
      remedy: 'see each with its reason in "keyferry status"; mend what it says, then resume',
    };
  }
  return {
    kind: 'try',
    phase,
    reason: "every object's conversion is tried before the cluster's own migrator is asked for anything",
  };
}

function verifying(seen: StorageObserved): StorageStep | undefined {
  const phase = 'verify';
  if (!seen.agreed)
    return { kind: 'agree', phase, reason: 'every API server must have taken up the storage versions' };
  if (!seen.settled)
    return {
      kind: 'settle',
      phase,
      reason: 'what was written before that may still land',
    };
  if (seen.census === undefined)
    return { kind: 'census', phase, reason: 'every object must lie in its storage version' };
  if (seen.census.untold > 0) {
    return {
      kind: 'stop',
      phase,
      reason: `of ${objects(seen.census.untold)} nobody can tell the version at rest`,
      remedy:
        'see "keyferry status"; where they are encrypted, give spec.cluster.encryptionConfiguration and run agents',
    };
  }
  if (seen.reads === undefined)
    return { kind: 'read', phase, reason: 'every served version must be readable through each API server' };
  if (seen.reads.failed > 0) {
    return {
      kind: 'stop',
      phase,
      reason: `${seen.reads.failed} reads failed, and no stored version was removed`,
      remedy: 'see each with its reason in "keyferry status"; mend what it says, then resume',
    };
  }
  return undefined;
}

function trimming(seen: StorageObserved): StorageStep {
  const phase = 'trim';
  if (seen.trimmed) return end('completed', 'every object lies in its storage version');
  if (!seen.trimmable)
    return end(
      'completed',
      'every object lies in its storage version, and no stored version is to be removed',
    );
  if (!seen.approved) {
    return {
      kind: 'wait',
      phase,
      gate: 'trim',
      reason:
        'every object lies in its storage version; the removal of the old stored versions waits for approval',
    };
  }
  if (!seen.delta)
    return { kind: 'delta', phase, reason: 'what was written since the census is looked at right before' };
  return { kind: 'trim', phase, reason: 'no object lies in an old version any more' };
}
