import { rateOf, type Progress } from '../src/plan/progress.ts';
import { storageNextSteps } from '../src/plan/storage-messages.ts';
import { oldVersions, versionIn } from '../src/plan/stored-resource.ts';
import { decideStorage, type StorageStep } from '../src/plan/storage-versions.ts';
import { rewritingOf } from './progress-of.ts';
import type { StorageVersionInput, StorageVersionState } from './types.ts';

/** What a StorageVersionMigration tells of itself. */
export function storageProgressOf({ migration }: StorageVersionInput, state: StorageVersionState): Progress {
  const { seen } = state;
  const step = decideStorage(seen);
  const { slowed, ...rewriting } = rewritingOf(
    state,
    seen.rewrite.finished ? state.passes.at(-1)?.counts : undefined,
  );
  const rate = rateOf(state.rate);
  const { done, of } = rewriting.rewrite;
  return {
    migration: migration.metadata.name,
    cluster: migration.spec.cluster.name,
    phase: step.phase,
    goal: 'target',
    ...versionsOf(state),
    state: stateWord(state, step),
    waitingFor: state.stopping
      ? ['every writer to answer', ...rewriting.shards.stalled].join(': ')
      : (state.waiting?.for ?? step.reason),
    ...(state.waiting === undefined ? {} : { waitingSince: state.waiting.since }),
    objects: objectsOf(state, done),
    pass: seen.rewrite.pass,
    ...rewriting,
    rate,
    ...(rate > 0 && step.kind !== 'hold' ? { etaSeconds: (of - done) / rate } : {}),
    apiServers: [],
    throttle: {
      objectsPerSecond: state.objectsPerSecond ?? migration.spec.pace.objectsPerSecond,
      slowed,
    },
    refusals: state.refusals,
    waivers: [],
    census: [],
    versions: (state.census ?? state.before)?.rows ?? [],
    checks: state.checks,
    ...(state.reads === undefined ? {} : { reads: state.reads }),
    startedAt: state.startedAt,
    ...(state.finishedAt === undefined ? {} : { finishedAt: state.finishedAt }),
    nextSteps: storageNextSteps(seen),
  };
}

/** "v1" and "v2" where one resource moves; of several only that they do. */
function versionsOf({ stored, storedBefore }: StorageVersionState): { source: string; target: string } {
  const [only, another] = stored;
  if (only === undefined || another !== undefined)
    return { source: 'other versions', target: 'storage versions' };
  const { definition } = only;
  const before =
    definition === undefined
      ? only
      : { ...only, definition: { ...definition, storedVersions: storedBefore[definition.name] ?? [] } };
  const old = oldVersions(before).join(', ');
  return { source: old === '' ? 'other versions' : old, target: versionIn(only.resource.apiVersion) };
}

function objectsOf({ census, before, seen }: StorageVersionState, done: number): Progress['objects'] {
  // A census that still stands is exact; before one is taken, what was handled tells.
  const exact = seen.census === undefined ? undefined : census;
  const base = exact ?? census ?? before;
  if (base === undefined) return { total: 0, inSource: 0, inTarget: 0 };
  const current = base.objects - base.outdated - base.untold;
  const inTarget = exact === undefined ? Math.max(current, Math.min(done, base.objects)) : current;
  return { total: base.objects, inSource: base.objects - inTarget, inTarget };
}

function stateWord(state: StorageVersionState, step: StorageStep): Progress['state'] {
  if (state.stopping) return 'pausing';
  if (step.kind === 'hold') return 'paused';
  if (step.kind === 'finish') return 'finished';
  return step.kind === 'wait' ? 'waiting' : 'running';
}
