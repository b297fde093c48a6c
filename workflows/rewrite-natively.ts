import { executeChild } from '@temporalio/workflow';
import type { NativeEvidence } from '../src/plan/native-migration.ts';
import { nativeName } from '../src/plan/native-object.ts';
import { clipped, objects } from '../src/plan/words.ts';
import { reportEvery } from '../src/plan/shards.ts';
import { CHILD } from './child.ts';
import { nativeMigration } from './native-migration.ts';
import { shardId } from './rate.ts';
import { MAX_STALLED, type Run } from './run.ts';
import { walkShards } from './shards.ts';
import type { NativeInput, NativeResult } from './native-types.ts';
import type { ShardState } from './types.ts';

/** Of those that have ended, so many are kept. */
export const MAX_EVIDENCE = 100;

/** How the resources of a pass are handed over. */
export interface NativeWalk {
  /** Names those of this pass, unlike any before. */
  attempt: number;
  side: NativeEvidence['side'];
  progress: NonNullable<NativeInput['progress']>;
  /** Done whenever one has ended. */
  ended?: () => Promise<void>;
}

/**
 * Has the cluster's own migrator rewrite the resources of a pass that aren't done, some at a time. Interrupted, it waits until
 * they have ended: nothing stops them.
 *
 * @returns whether any API server isn't what was proven any more, or isn't listed
 */
export async function walkNatively(
  run: Run,
  { attempt, side, progress, ended }: NativeWalk,
): Promise<boolean> {
  return await walkShards(run, async (index) => {
    const shard = run.state.shards[index];
    const resource = run.state.resources.find((one) => one.name === shard?.resource);
    if (shard === undefined || resource === undefined) return false;
    const { cluster, fence, ...guarded } = run.guard();
    run.walking.add(index);
    run.waitFor(
      "the cluster's own storage version migrator (kube-controller-manager) to rewrite what is left",
    );
    const result = await executeChild(nativeMigration, {
      ...CHILD,
      workflowId: shardId(index),
      args: [
        {
          cluster,
          fence,
          guarded,
          resource,
          name: nativeName(run.state.id, attempt, resource.name),
          progress,
          index,
          reportEvery: reportEvery(run.state.shards.length, shard.objects),
          counts: shard.counts,
        },
      ],
      staticSummary: `${resource.name}, about ${shard.objects} objects`,
    }).finally(() => run.walking.delete(index));
    keep(run, index, side, result);
    await ended?.();
    return result.changed;
  });
}

function keep(run: Run, index: number, side: NativeEvidence['side'], result: NativeResult): void {
  const { outcome, object, apiVersion, why } = result;
  // Withdrawn because nobody wanted it any more: it is asked for again.
  const done = outcome !== 'NotTakenUp' || !(result.stopped || result.changed);
  const shards = run.state.shards.map((shard, i): ShardState => {
    if (i !== index) return shard;
    const { stalled: _stalled, ...rest } = shard;
    return { ...rest, done, counts: result.counts };
  });
  run.patch({ shards, rewrittenAt: Math.max(run.state.rewrittenAt, result.revision) });
  run.sample();
  if (!done) return;
  const { native = [] } = run.state;
  const evidence: NativeEvidence = {
    name: object.name,
    uid: object.uid,
    apiVersion,
    resource: object.resource,
    side,
    outcome,
    ...(why === undefined ? {} : { why: clipped(why, MAX_STALLED) }),
    createdAt: object.createdAt,
    endedAt: Date.now(),
    ...(object.resourceVersion === undefined ? {} : { resourceVersion: object.resourceVersion }),
    conditions: object.conditions,
  };
  // The newest of each resource and direction: once one hasn't delivered, there is no newer one.
  const others = native.filter((one) => one.resource !== evidence.resource || one.side !== evidence.side);
  run.patch({ native: [...others, evidence].slice(-MAX_EVIDENCE) });
  run.note({
    actor: 'keyferry',
    verified: true,
    what: `StorageVersionMigration of ${object.resource}: ${outcome}`,
    reason: [object.name, ...(why === undefined ? [] : [why])].join(': '),
  });
  if (!result.writerLeft) return;
  run.note({
    actor: 'keyferry',
    verified: true,
    what: 'a writer may be left',
    reason: `${object.name} is gone, and no Lease tells whether a kube-controller-manager still writes for it`,
  });
}

/**
 * Compares what the cluster's own migrator claimed with what a census found; what is left is told.
 *
 * @param side - where the objects were to be brought
 * @param left - how many of a resource's objects aren't there
 * @param where - where those lie, in words
 */
export function judgeNatives(
  run: Run,
  side: NativeEvidence['side'],
  left: (resource: string) => number,
  where: string,
): void {
  const { native = [] } = run.state;
  const judged = native.map((one): NativeEvidence =>
    one.left !== undefined || one.side !== side ? one : { ...one, left: left(one.resource) },
  );
  for (const [i, one] of judged.entries()) {
    if (native[i]?.left !== undefined || one.left === undefined || one.left === 0) continue;
    run.note({
      actor: 'keyferry',
      verified: true,
      what: `${objects(one.left)} of ${one.resource} left by the storage version migrator`,
      reason: `${one.name} says ${one.outcome}, and a census of etcd found them ${where}; the engine APIServer rewrites them`,
    });
  }
  if (native.length > 0) run.patch({ native: judged });
}
