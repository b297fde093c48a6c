import { sum } from '../src/plan/counts.ts';
import { rateOf, type Progress } from '../src/plan/progress.ts';
import type { AnyStep, RunInput } from './run.ts';
import type { ChunkCounts, RunState, ShardState } from './types.ts';

/** What a run adds to what all of them tell. */
type Own = 'goal' | 'source' | 'target' | 'objects' | 'apiServers' | 'waivers' | 'census' | 'nextSteps';

interface Told extends RunState {
  seen: RunState['seen'] & { rewrite: { pass: number; finished: boolean } };
  passes: readonly { counts: ChunkCounts }[];
}

/** What every run tells of itself, whatever it is for. */
export function runProgress(
  { migration: { metadata, spec } }: RunInput,
  state: Told,
  step: AnyStep & Pick<Progress, 'phase'>,
): Omit<Progress, Own> {
  const { rewrite } = state.seen;
  const { slowed, ...rewriting } = rewritingOf(
    state.shards,
    rewrite.finished ? state.passes.at(-1)?.counts : undefined,
  );
  const rate = rateOf(state.rate);
  const { done, of } = rewriting.rewrite;
  return {
    migration: metadata.name,
    cluster: spec.cluster.name,
    phase: step.phase,
    state: stateWord(state, step),
    waitingFor: state.stopping
      ? ['every writer to answer', ...rewriting.shards.stalled].join(': ')
      : (state.waiting?.for ?? step.reason),
    ...(state.waiting === undefined ? {} : { waitingSince: state.waiting.since }),
    pass: rewrite.pass,
    ...rewriting,
    rate,
    ...(rate > 0 && step.kind !== 'hold' ? { etaSeconds: (of - done) / rate } : {}),
    throttle: { objectsPerSecond: state.objectsPerSecond ?? spec.pace.objectsPerSecond, slowed },
    refusals: state.refusals,
    checks: state.checks,
    ...(state.reads === undefined ? {} : { reads: state.reads }),
    startedAt: state.startedAt,
    ...(state.finishedAt === undefined ? {} : { finishedAt: state.finishedAt }),
  };
}

/**
 * How far the pass under way got, and what its shards say.
 *
 * @param last - of the pass that has just ended, where none is under way
 */
function rewritingOf(
  shards: readonly ShardState[],
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

function stateWord({ stopping }: RunState, { kind }: AnyStep): Progress['state'] {
  if (stopping) return 'pausing';
  if (kind === 'hold') return 'paused';
  if (kind === 'finish') return 'finished';
  return kind === 'wait' ? 'waiting' : 'running';
}
