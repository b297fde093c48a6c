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
        | 'agree'
        | 'settle'
        | 'census'
        | 'read'
        | 'delta'
        | 'trim'
        | 'release'
        | 'hold';
    }
  | { kind: 'rewrite'; pass: number }
  | { kind: 'wait'; gate: 'trim' }
  | { kind: 'stop'; remedy: string }
  | { kind: 'finish'; outcome: 'completed' | 'stopped' | 'failed' }
);

export type StorageEvent =
  | { kind: 'preflight'; passed: boolean; trimmable: boolean }
  | ({ kind: 'counted' } & VersionsView)
  | { kind: 'fenced' | 'freed' | 'agreed' | 'settled' | 'approved' | 'trimmed' | 'released' | 'stopped' }
  /** A definition isn't what it was when its objects were looked at. */
  | { kind: 'redefined' }
  | { kind: 'rewriting'; pass: number }
  | { kind: 'rewritten'; refused: number }
  | ({ kind: 'census' | 'delta' } & VersionsView)
  | { kind: 'read'; failed: number }
  | { kind: 'held'; reason: string };

/** Passes of rewriting before it stops and asks: each should find fewer objects than the one before. */
export const MAX_STORAGE_PASSES = 3;

export function initialStorage(): StorageObserved {
  return {
    preflight: 'due',
    trimmable: false,
    counted: false,
    holding: false,
    fenced: false,
    rewrite: { pass: 1, inARow: 1, begun: false, finished: false, refused: 0 },
    agreed: false,
    settled: false,
    census: undefined,
    reads: undefined,
    approved: false,
    delta: false,
    trimmed: false,
    stopping: false,
    held: undefined,
  };
}

/**
 * The next step: a pure function of what is known.
 *
 * Promise: a stored version is removed only after every API server stores the new one, what was written before has landed, a
 * census of etcd found no object in another version, all served versions could be read through every API server, a person
 * approved, and nothing that was written since lies in another version.
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

const STOPPED =
  'ended by a person; nothing is lost, for every version is still served and stays among the stored ones';

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

function rewriting({ rewrite }: StorageObserved): StorageStep | undefined {
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
    const reason = 'every object in another version is written anew by an API server';
    return { kind: 'rewrite', phase, pass: rewrite.pass, reason };
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

/** What is known once something has happened. */
export function advanceStorage(seen: StorageObserved, event: StorageEvent): StorageObserved {
  switch (event.kind) {
    case 'preflight':
      return { ...seen, preflight: event.passed ? 'passed' : 'failed', trimmable: event.trimmable };
    case 'counted': {
      const nothing = event.outdated === 0 && event.untold === 0;
      return { ...seen, counted: true, rewrite: { ...seen.rewrite, finished: nothing } };
    }
    case 'fenced':
      return { ...seen, fenced: true, holding: true };
    case 'freed':
      return { ...seen, holding: false };
    case 'rewriting':
      return {
        ...seen,
        rewrite: { ...seen.rewrite, pass: event.pass, begun: true, refused: 0 },
        holding: true,
      };
    case 'rewritten':
      return {
        ...unverified(seen),
        rewrite: { ...seen.rewrite, finished: true, refused: event.refused },
      };
    case 'agreed':
      return { ...seen, agreed: true };
    case 'settled':
      return { ...seen, settled: true };
    case 'redefined':
      return unverified(seen);
    case 'census':
      return found({ ...seen, reads: undefined, delta: false }, event);
    case 'delta': {
      const next = found({ ...seen, delta: true }, event);
      // What the census found holds on, unless something of this says otherwise.
      return next.rewrite === seen.rewrite && event.untold === 0 ? { ...next, census: seen.census } : next;
    }
    case 'read':
      return { ...seen, reads: { failed: event.failed } };
    case 'approved':
      return { ...seen, approved: true };
    case 'trimmed':
      return { ...seen, trimmed: true };
    case 'held':
      return { ...seen, held: event.reason, fenced: false };
    case 'released':
      return released(seen);
    case 'stopped':
      return { ...seen, stopping: true, held: undefined, fenced: false };
  }
}

/** A census that found objects in another version leads back to rewriting. */
function found(seen: StorageObserved, { outdated, untold }: VersionsView): StorageObserved {
  if (outdated === 0) return { ...seen, census: { outdated, untold } };
  return { ...unverified(seen), rewrite: nextPass(seen.rewrite, seen.rewrite.inARow + 1) };
}

function nextPass({ pass }: StorageObserved['rewrite'], inARow: number): StorageObserved['rewrite'] {
  return { pass: pass + 1, inARow, begun: false, finished: false, refused: 0 };
}

function unverified(seen: StorageObserved): StorageObserved {
  return { ...seen, agreed: false, settled: false, census: undefined, reads: undefined, delta: false };
}

/** A person resumed it: what made it stop is tried again. */
function released(seen: StorageObserved): StorageObserved {
  const again: StorageObserved = { ...seen, held: undefined };
  const { rewrite, census, reads } = seen;
  if (rewrite.inARow > MAX_STORAGE_PASSES) return { ...again, rewrite: { ...rewrite, inARow: 1 } };
  if (rewrite.refused > 0 && rewrite.finished) return { ...again, rewrite: nextPass(rewrite, 1) };
  if (census !== undefined && census.untold > 0) return unverified(again);
  if (reads !== undefined && reads.failed > 0) return { ...again, reads: undefined };
  return again;
}
