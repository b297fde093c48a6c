import { MAX_STORAGE_PASSES, type StorageObserved, type VersionsView } from './storage-versions.ts';

export type StorageEvent =
  | { kind: 'preflight'; passed: boolean; trimmable: boolean }
  | ({ kind: 'counted' } & VersionsView)
  | { kind: 'fenced' | 'freed' | 'agreed' | 'settled' | 'approved' | 'trimmed' | 'released' | 'stopped' }
  /** A definition isn't what it was when its objects were looked at. */
  | { kind: 'redefined' }
  | { kind: 'trying' }
  | { kind: 'tried'; refused: number }
  | { kind: 'rewriting'; pass: number }
  | { kind: 'rewritten'; refused: number }
  | ({ kind: 'census' | 'delta' } & VersionsView)
  | { kind: 'read'; failed: number }
  | { kind: 'held'; reason: string };

/** @param natively - whether the cluster's own migrator is asked first */
export function initialStorage(natively = false): StorageObserved {
  return {
    ...(natively ? { native: { trial: 'due', refused: 0 } } : {}),
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
    case 'trying':
      return { ...seen, native: { trial: 'begun', refused: 0 } };
    case 'tried':
      return {
        ...seen,
        native: { trial: event.refused === 0 ? 'done' : 'due', refused: event.refused },
      };
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
  const { rewrite, native, census, reads } = seen;
  if (native !== undefined && native.refused > 0) return { ...again, native: { trial: 'due', refused: 0 } };
  if (rewrite.inARow > MAX_STORAGE_PASSES) return { ...again, rewrite: { ...rewrite, inARow: 1 } };
  if (rewrite.refused > 0 && rewrite.finished) return { ...again, rewrite: nextPass(rewrite, 1) };
  if (census !== undefined && census.untold > 0) return unverified(again);
  if (reads !== undefined && reads.failed > 0) return { ...again, reads: undefined };
  return again;
}
