import { sum } from '../src/plan/counts.ts';
import { nextSteps, rateOf, type Progress } from '../src/plan/progress.ts';
import { refText, sourceOf, targetOf } from '../src/plan/sides.ts';
import { decide, type Step } from '../src/plan/transition.ts';
import type { ChunkCounts, MigrationInput, MigrationState, RunState, ShardState } from './types.ts';

/** What a migration tells of itself. */
export function progressOf({ migration }: MigrationInput, state: MigrationState): Progress {
  const { spec } = migration;
  const { seen } = state;
  const step = decide(seen);
  const { slowed, ...rewriting } = rewritingOf(
    state,
    seen.rewrite.finished ? state.passes.at(-1)?.counts : undefined,
  );
  const { done, of } = rewriting.rewrite;
  const rate = rateOf(state.rate);
  const objects = objectsOf(state, done);
  return {
    migration: migration.metadata.name,
    cluster: spec.cluster.name,
    phase: step.phase,
    goal: seen.goal,
    source: refText(sourceOf(spec, state.rotation)),
    target: refText(targetOf(spec, state.rotation)),
    state: stateWord(state, step),
    waitingFor: state.stopping
      ? ['every writer to answer', ...rewriting.shards.stalled].join(': ')
      : (state.waiting?.for ?? step.reason),
    ...(state.waiting === undefined ? {} : { waitingSince: state.waiting.since }),
    objects,
    pass: seen.rewrite.pass,
    ...rewriting,
    rate,
    ...(rate > 0 && step.kind !== 'hold' ? { etaSeconds: (of - done) / rate } : {}),
    apiServers: seen.servers,
    throttle: {
      objectsPerSecond: state.objectsPerSecond ?? spec.pace.objectsPerSecond,
      slowed,
    },
    refusals: state.refusals,
    waivers: state.waivers,
    census: (state.census ?? state.before)?.rows ?? [],
    checks: state.checks,
    ...(state.reads === undefined ? {} : { reads: state.reads }),
    startedAt: state.startedAt,
    ...(state.finishedAt === undefined ? {} : { finishedAt: state.finishedAt }),
    nextSteps: nextSteps(seen),
  };
}

/**
 * How far the pass under way got, and what its shards say.
 *
 * @param last - of the pass that has just ended, where none is under way
 */
export function rewritingOf(
  { shards }: Pick<RunState, 'shards'>,
  last: ChunkCounts | undefined,
): Pick<Progress, 'rewrite' | 'shards'> & { slowed: string[] } {
  const counted = shards.length > 0 ? shards.map(({ counts }) => counts) : last === undefined ? [] : [last];
  const { examined: done, ...others } = sum(...counted);
  // Objects come and go while the shards are walked: what was planned is an estimate.
  const planned = shards.reduce((whole, { objects }) => whole + objects, 0);
  return {
    rewrite: { done, of: Math.max(done, planned), ...others },
    shards: {
      total: shards.length,
      done: shards.filter((shard) => shard.done).length,
      stalled: saidBy(shards, ({ stalled }) => stalled),
    },
    slowed: saidBy(shards, ({ slowed }) => slowed),
  };
}

/** What shards that aren't done yet say, each thing once. */
function saidBy(shards: readonly ShardState[], words: (shard: ShardState) => string | undefined): string[] {
  return [...new Set(shards.flatMap((shard) => (shard.done ? [] : (words(shard) ?? []))))];
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

function stateWord(state: MigrationState, step: Step): Progress['state'] {
  if (state.stopping) return 'pausing';
  if (step.kind === 'hold') return 'paused';
  if (step.kind === 'finish') return 'finished';
  return step.kind === 'wait' ? 'waiting' : 'running';
}
