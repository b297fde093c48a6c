import {
  CancellationScope,
  ChildWorkflowCancellationType,
  executeChild,
  ParentClosePolicy,
} from '@temporalio/workflow';
import { MAX_REFUSALS, NOTHING, sum } from '../src/plan/counts.ts';
import { chunkObjects, reportEvery, shardsFor } from '../src/plan/shards.ts';
import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import { cluster, quick } from './activities.ts';
import { raiseFence } from './fence.ts';
import { together } from './together.ts';
import type { MigrationRun } from './migration-run.ts';
import { shardId } from './rate.ts';
import { rewriteShard } from './rewrite-shard.ts';
import { guardOf, look } from './watch.ts';
import { waivedBy } from './waivers.ts';
import type { EtcdAgents, ShardResult, ShardState } from './types.ts';

/** A chunk ends after so long, or after `chunkObjects`: what a death repeats at most, per shard. */
const CHUNK_MS = 10_000;

/** Walks all shards of a pass, some at a time. Interrupted, it waits for their writers, and keeps where each got. */
export async function rewrite(run: MigrationRun, pass: number): Promise<void> {
  const { seen, shards } = run.state;
  if (!seen.rewrite.begun || seen.rewrite.pass !== pass || shards.length === 0) {
    await raiseFence(run);
    run.patch({ refusals: [] });
    run.event({ kind: 'rewriting', pass });
    run.patch({ shards: await scan(run) });
  }
  run.waitFor(undefined);
  run.sample();
  const waiting = run.state.shards.flatMap((shard, index) => (shard.done ? [] : [index]));
  const atOnce = Math.min(run.spec.pace.shards, waiting.length);
  const stopped: number[] = [];
  // Each of these walks one shard after another until none is left, or the pass is interrupted.
  await together(
    Array.from({ length: atOnce }, async () => {
      for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
        if (stopped.length > 0 || CancellationScope.current().consideredCancelled) return;
        if (await walk(run, index, atOnce)) stopped.push(index);
      }
    }),
  );
  if (CancellationScope.current().consideredCancelled) return;
  if (stopped.length > 0) await look(run);
  // Interrupted: a rollback may have put the shards away already.
  if (run.state.shards.some((shard) => !shard.done)) return;
  finish(run, pass);
}

/** Cuts the resources into shards. */
async function scan(run: MigrationRun): Promise<ShardState[]> {
  const { resources } = run.state;
  const { cluster: spec } = run.spec;
  run.waitFor('the shards to be planned');
  const counts = await Promise.all(
    resources.map((resource) => quick.countObjects({ cluster: spec, resource })),
  );
  const all = counts.reduce((sum, one) => sum + one, 0);
  const planned = await Promise.all(
    resources.map(async (resource, i) => {
      // A resource without objects keeps one shard: some may appear.
      const shards = Math.max(1, shardsFor(counts[i] ?? 0, all));
      const ranges = await cluster.planShards({ cluster: spec, resource, shards });
      return ranges.map((range) => ({ ...range, resource: resource.name, done: false, counts: NOTHING }));
    }),
  );
  return planned.flat();
}

/** Walks a shard, and answers whether it stopped because an API server changed. */
async function walk(run: MigrationRun, index: number, atOnce: number): Promise<boolean> {
  const shard = run.state.shards[index];
  const resource = run.state.resources.find((one) => one.name === shard?.resource);
  if (shard === undefined || resource === undefined) return false;
  const { pace } = run.spec;
  run.walking.add(index);
  const result = await executeChild(rewriteShard, {
    workflowId: shardId(index),
    args: [
      {
        ...guardOf(run),
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
        reportEvery: reportEvery(run.state.shards.length, shard.objects),
        counts: shard.counts,
        refusals: [],
        ...waivedBy(run),
        ...agentsOf(run),
      },
    ],
    cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    staticSummary: `${resource.name}, about ${shard.objects} objects`,
  }).finally(() => run.walking.delete(index));
  keep(run, index, result);
  return result.changed;
}

/** Of the engine `Etcd`: the nodes whose agents rewrite, each by what its API server runs now. */
function agentsOf({ spec, state }: MigrationRun): { agents?: EtcdAgents } {
  if (spec.engine !== 'Etcd') return {};
  const nodes = spec.cluster.apiServers.map((server) => {
    const { file: arrangement } = state.seen.servers.find(({ name }) => name === server.name) ?? {};
    const node = nodeOf(server);
    const hash = (arrangement && state.hashes[server.name]?.[arrangement]) ?? 'unknown';
    return { node, file: nodeFile(spec, node).file, hash };
  });
  const { sealing } = state;
  return { agents: { nodes, ...(sealing === undefined ? {} : { sealing }) } };
}

function keep(run: MigrationRun, index: number, result: ShardResult): void {
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

function finish(run: MigrationRun, pass: number): void {
  const { seen, shards, passes } = run.state;
  const counts = sum(...shards.map((shard) => shard.counts));
  run.patch({
    shards: [],
    rate: [],
    soakUntil: 0,
    passes: [...passes, { side: seen.goal, pass, counts }].slice(-20),
  });
  run.note({
    actor: 'keyferry',
    verified: true,
    what: `pass ${pass} done`,
    reason: `${counts.examined} objects: ${counts.rewritten} rewritten, ${counts.current} current, ${counts.gone} gone, ${counts.refused} refused`,
  });
  run.event({ kind: 'rewritten', refused: counts.refused });
}
