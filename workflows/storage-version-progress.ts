import type { Progress } from '../src/plan/progress.ts';
import { storageNextSteps } from '../src/plan/storage-messages.ts';
import { oldVersions, versionIn } from '../src/plan/stored-resource.ts';
import { decideStorage } from '../src/plan/storage-versions.ts';
import { runProgress } from './run-progress.ts';
import type { StorageVersionInput, StorageVersionState } from './storage-version-types.ts';

/** What a StorageVersionMigration tells of itself. */
export function storageProgressOf(input: StorageVersionInput, state: StorageVersionState): Progress {
  const { seen } = state;
  const told = runProgress(input, state, decideStorage(seen));
  return {
    ...told,
    goal: 'target',
    ...versionsOf(state),
    // What is only tried stays where it is.
    objects: objectsOf(state, seen.native?.trial === 'begun' ? 0 : told.rewrite.done),
    apiServers: [],
    waivers: [],
    census: [],
    versions: (state.census ?? state.before)?.rows ?? [],
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
