import { ChildWorkflowCancellationType, executeChild, ParentClosePolicy } from '@temporalio/workflow';
import { delivered, nativeName, type NativeEvidence } from '../src/plan/native-migration.ts';
import { clipped, objects } from '../src/plan/words.ts';
import { leftIn } from '../src/plan/tally.ts';
import { reportEvery } from '../src/plan/shards.ts';
import type { MigrationRun } from './migration-run.ts';
import { nativeMigration } from './native-migration.ts';
import { shardId } from './rate.ts';
import { MAX_STALLED } from './run.ts';
import { censusTarget } from './run-census.ts';
import { walkShards } from './shards.ts';
import type { CensusTally, NativeResult, ShardState } from './types.ts';

/** Of those that have ended, so many are kept. */
export const MAX_EVIDENCE = 100;

/** Whether a pass is the cluster's own migrator's: the first one, and none once it hasn't delivered. */
export function rewritesNatively({ spec, state }: MigrationRun, pass: number): boolean {
  return spec.engine === 'StorageVersionMigration' && pass === 1 && (state.native ?? []).every(delivered);
}

/**
 * Has the cluster's own migrator rewrite the resources of a pass that aren't done, some at a time. Interrupted, it waits until
 * they have ended: nothing stops them.
 *
 * @returns whether any API server isn't what was proven any more, or isn't listed
 */
export async function walkNatively(run: MigrationRun, attempt: number): Promise<boolean> {
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
      workflowId: shardId(index),
      args: [
        {
          cluster,
          fence,
          guarded,
          resource,
          name: nativeName(run.state.id, attempt, resource.name),
          progress: { target: censusTarget(run), names: run.state.names, goal: run.state.seen.goal },
          index,
          reportEvery: reportEvery(run.state.shards.length, shard.objects),
          counts: shard.counts,
        },
      ],
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      staticSummary: `${resource.name}, about ${shard.objects} objects`,
    }).finally(() => run.walking.delete(index));
    keep(run, index, result);
    return result.changed;
  });
}

function keep(run: MigrationRun, index: number, result: NativeResult): void {
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
  const { seen, native = [] } = run.state;
  const evidence: NativeEvidence = {
    name: object.name,
    uid: object.uid,
    apiVersion,
    resource: object.resource,
    side: seen.goal,
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

/** Compares what the cluster's own migrator claimed in the pass before with what a census found; what is left is told. */
export function judgeNatives(run: MigrationRun, tally: CensusTally): void {
  const { native = [], seen } = run.state;
  const judged = native.map((one): NativeEvidence => {
    if (one.left !== undefined || one.side !== seen.goal) return one;
    return { ...one, left: leftIn(tally, one.resource, censusTarget(run), seen.goal) };
  });
  for (const [i, { name, outcome, resource, left = 0 }] of judged.entries()) {
    if (native[i]?.left !== undefined || left === 0) continue;
    run.note({
      actor: 'keyferry',
      verified: true,
      what: `${objects(left)} of ${resource} left by the storage version migrator`,
      reason: `${name} says ${outcome}, and a census of etcd found them outside; the engine APIServer rewrites them`,
    });
  }
  if (native.length > 0) run.patch({ native: judged });
}
