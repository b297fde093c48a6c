import {
  executeChild,
  workflowInfo,
  ChildWorkflowCancellationType,
  ParentClosePolicy,
} from '@temporalio/workflow';
import { census } from './census.ts';
import type { MigrationRun } from './migration-run.ts';
import { waivedBy } from './waivers.ts';
import type { CensusTally } from './types.ts';

/**
 * Takes a census of everything the migration is about, in a workflow of its own.
 *
 * @param options - `sinceRevision`: only of what was written at that revision of etcd or later
 */
export async function runCensus(
  run: MigrationRun,
  options: { sinceRevision?: number } = {},
): Promise<CensusTally> {
  const { spec, state } = run;
  const { sampleSize, reads } = spec.verify;
  const counted = state.census?.objects ?? state.before?.objects ?? 0;
  const sampleEvery =
    reads === 'All' || sampleSize === 0 || counted === 0 ? 0 : Math.ceil(counted / sampleSize);
  return await executeChild(census, {
    workflowId: `${workflowInfo().workflowId}/census`,
    args: [
      {
        cluster: spec.cluster,
        resources: state.resources,
        target: { ...run.target, ...keyIdOf(run) },
        names: state.names,
        sampleEvery,
        ...waivedBy(run),
        ...options,
      },
    ],
    cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    staticSummary: 'what every object is encrypted with',
  });
}

/** Towards the target, what it sealed under another key id than it seals with now isn't done yet. */
function keyIdOf(run: MigrationRun): { keyId?: string } {
  const { keyId, seen } = run.state;
  return seen.goal === 'target' && seen.counted && keyId !== undefined ? { keyId } : {};
}
