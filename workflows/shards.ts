import { CancellationScope, executeChild } from '@temporalio/workflow';
import { MAX_REFUSALS, NOTHING } from '../src/plan/counts.ts';
import { chunkObjects, reportEvery, shardsFor } from '../src/plan/shards.ts';
import { cluster, quick } from './activities.ts';
import { CHILD } from './child.ts';
import { together } from './together.ts';
import { shardId } from './rate.ts';
import { rewriteShard } from './rewrite-shard.ts';
import type { Run } from './run.ts';
import type { ShardResult, ShardState } from './types.ts';

/** A chunk ends after so long, or after so many objects: what a death repeats at most, per shard. */
const CHUNK_MS = 10_000;

/**
 * Cuts the resources into shards.
 *
 * @param each - how many of each resource; by default as many as its objects are worth
 */
export async function planShards(run: Run, each?: number): Promise<ShardState[]> {
  const { resources } = run.state;
  const { cluster: spec } = run;
  run.waitFor('the shards to be planned');
  const counts = await Promise.all(
    resources.map((resource) => quick.countObjects({ cluster: spec, resource })),
  );
  const all = counts.reduce((sum, one) => sum + one, 0);
  const planned = await Promise.all(
    resources.map(async (resource, i) => {
      const engine = run.shardExtras(resource).agents === undefined ? 'APIServer' : 'Etcd';
      // A resource without objects keeps one shard: some may appear.
      const shards = each ?? Math.max(1, shardsFor(counts[i] ?? 0, all, engine, run.pace.shards));
      const ranges = await cluster.planShards({ cluster: spec, resource, shards });
      return ranges.map((range) => ({ ...range, resource: resource.name, done: false, counts: NOTHING }));
    }),
  );
  return planned.flat();
}

/**
 * Walks the shards that aren't done, some at a time. Interrupted, it waits for their writers, and keeps where each got.
 *
 * @param walk - walks one by its place in the list, with so many others, and answers whether it stopped because an API
 * server isn't what was proven any more, or isn't listed
 * @returns whether any did
 */
export async function walkShards(
  run: Run,
  walk: (index: number, atOnce: number) => Promise<boolean> = (index, atOnce) =>
    walkShard(run, index, atOnce),
): Promise<boolean> {
  run.waitFor(undefined);
  run.sample();
  const waiting = run.state.shards.flatMap((shard, index) => (shard.done ? [] : [index]));
  const atOnce = Math.min(run.pace.shards, waiting.length);
  const stopped: number[] = [];
  // Each of these walks one shard after another until none is left, or the pass is interrupted.
  await together(
    Array.from({ length: atOnce }, async () => {
      for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
        if (stopped.length > 0 || CancellationScope.current().consideredCancelled) return;
        if (await walk(index, atOnce)) stopped.push(index);
      }
    }),
  );
  return stopped.length > 0;
}

/** Walks a shard, and answers whether it stopped because an API server changed. */
async function walkShard(run: Run, index: number, atOnce: number): Promise<boolean> {
  const shard = run.state.shards[index];
  const resource = run.state.resources.find((one) => one.name === shard?.resource);
  if (shard === undefined || resource === undefined) return false;
  const { pace } = run;
  run.walking.add(index);
  const result = await executeChild(rewriteShard, {
    ...CHILD,
    workflowId: shardId(index),
    args: [
      {
        ...run.guard(),
        resource,
        range: { start: shard.cursor ?? shard.start, end: shard.end },
        limits: {
          timeMs: CHUNK_MS,
          objects: chunkObjects(run.state.shards.length, shard.objects),
          concurrency: Math.max(1, Math.floor(pace.concurrency / atOnce)),
          objectsPerSecond: run.objectsPerSecond / atOnce,
        },
        ...(pace.schedule === undefined ? {} : { schedule: pace.schedule }),
        index,
        ofAll: run.state.shards.reduce((sum, { objects }) => sum + objects, 0),
        reportEvery: reportEvery(run.state.shards.length, shard.objects),
        counts: shard.counts,
        refusals: [],
        ...run.shardExtras(resource),
      },
    ],
    staticSummary: `${resource.name}, about ${shard.objects} objects`,
  }).finally(() => run.walking.delete(index));
  keep(run, index, result);
  return result.changed;
}

function keep(run: Run, index: number, result: ShardResult): void {
  const shards = run.state.shards.map((shard, i): ShardState => {
    if (i !== index) return shard;
    const { stalled: _stalled, slowed: _slowed, cursor: _cursor, ...rest } = shard;
    return {
      ...rest,
      ...(result.cursor === undefined ? {} : { cursor: result.cursor }),
      done: result.cursor === undefined,
      counts: result.counts,
    };
  });
  run.patch({
    shards,
    refusals: [...run.state.refusals, ...result.refusals].slice(0, MAX_REFUSALS),
    rewrittenAt: Math.max(run.state.rewrittenAt, result.revision),
  });
  run.sample();
}
