import { executeChild, workflowInfo } from '@temporalio/workflow';
import type { EnvelopeTarget } from '../src/envelope/types.ts';
import { baseKeyId } from '../src/plan/generation.ts';
import { census } from './census.ts';
import { CHILD } from './child.ts';
import type { MigrationRun } from './migration-run.ts';
import { reads } from './reads.ts';
import type { CensusTally, ReadsResult } from './types.ts';
import { waivedBy } from './inputs.ts';

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
  return await executeChild(census, {
    ...CHILD,
    workflowId: `${workflowInfo().workflowId}/census`,
    args: [
      {
        cluster: spec.cluster,
        resources: state.resources,
        target: censusTarget(run),
        names: state.names,
        ...waivedBy(run),
        ...options,
      },
    ],
    staticSummary: 'what every object is encrypted with',
  });
}

/**
 * Towards the target, what it sealed under another key id than it seals with now isn't done yet. A rotation's target is one
 * version of the key from the beginning, however often it was announced.
 */
export function censusTarget({ target, state }: MigrationRun): EnvelopeTarget {
  const { keyId, seen, rotation } = state;
  if (target.type !== 'kms') return target;
  if (rotation !== undefined) return { ...target, keyId: baseKeyId(rotation.target) };
  return seen.goal === 'target' && seen.counted && keyId !== undefined ? { ...target, keyId } : target;
}

/**
 * Reads objects through every API server, in a workflow of its own.
 *
 * @param every - one object of so many; 1 for all
 */
export async function runReads(run: MigrationRun, every: number): Promise<ReadsResult> {
  return await executeChild(reads, {
    ...CHILD,
    workflowId: `${workflowInfo().workflowId}/reads`,
    args: [{ cluster: run.spec.cluster, resources: run.state.resources, every, ...waivedBy(run) }],
    staticSummary: every === 1 ? 'every object, read through every API server' : `one object of ${every}`,
  });
}
