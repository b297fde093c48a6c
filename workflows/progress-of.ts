import { nextSteps, type Progress } from '../src/plan/progress.ts';
import { refText, sourceOf, targetOf } from '../src/plan/sides.ts';
import { decide } from '../src/plan/transition.ts';
import { runProgress } from './run-progress.ts';
import type { MigrationInput, MigrationState } from './types.ts';

/** What a migration tells of itself. */
export function progressOf(input: MigrationInput, state: MigrationState): Progress {
  const { spec } = input.migration;
  const { seen } = state;
  const told = runProgress(input, state, decide(seen));
  return {
    ...told,
    goal: seen.goal,
    source: refText(sourceOf(spec, state.rotation)),
    target: refText(targetOf(spec, state.rotation)),
    objects: objectsOf(state, told.rewrite.done),
    apiServers: seen.servers,
    waivers: state.waivers,
    census: (state.census ?? state.before)?.rows ?? [],
    nextSteps: nextSteps(seen),
  };
}

/** What is under which provider, worked forward from the last census by what shards report. */
function objectsOf(state: MigrationState, done: number): Progress['objects'] {
  const { seen, census, before } = state;
  // A census that still stands is exact; before one is taken, what was handled tells.
  const exact = seen.census === undefined ? undefined : census;
  const base = exact ?? census ?? before;
  if (base === undefined) return { total: 0, inSource: 0, inTarget: 0 };
  const moved = exact === undefined ? Math.min(done, base.objects) : 0;
  const inTarget =
    seen.goal === 'target' ? Math.max(base.inTarget, moved) : Math.min(base.inTarget, base.objects - moved);
  return { total: base.objects, inSource: base.objects - inTarget, inTarget };
}
