import { continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { NativeEvidence } from '../src/plan/native-migration.ts';
import type { VersionTally } from '../src/plan/version-tally.ts';
import { versionIn } from '../src/plan/stored-resource.ts';
import { drive } from './drive.ts';
import { StorageVersionRun } from './storage-version-run.ts';
import { carryOutStorage } from './storage-version-steps.ts';
import type { StorageVersionInput, StorageVersionState } from './storage-version-types.ts';
import type { Check, ReadsResult, Refusal, TimelineEntry } from './types.ts';

/** How a StorageVersionMigration ended, and what proves it. Names, versions and counts only. */
export interface StorageVersionReport {
  kind: 'StorageVersionMigration';
  migration: string;
  workflowId: string;
  cluster: string;
  outcome: 'completed' | 'stopped' | 'failed';
  /** Each resource with its storage version, and of a custom one the stored versions before and after. */
  resources: { resource: string; storageVersion: string; storedBefore?: string[]; storedAfter?: string[] }[];
  startedAt: number;
  finishedAt: number;
  checks: Check[];
  /** In which version every object lay before anything was changed, and at the end. */
  before?: VersionTally;
  after?: VersionTally;
  reads?: ReadsResult;
  passes: StorageVersionState['passes'];
  /** What the cluster's own migrator was asked for, what it claimed, and what a census found of that. */
  native?: NativeEvidence[];
  refusals: Refusal[];
  timeline: TimelineEntry[];
}

/**
 * Rewrites all objects of some resources in their storage version, proves it in etcd, and then removes the old versions from
 * the definitions' status. It ends completed, stopped before anything was removed, or failed with nothing changed.
 */
export async function storageVersionMigration(input: StorageVersionInput): Promise<StorageVersionReport> {
  const { workflowId, runId } = workflowInfo();
  const run = new StorageVersionRun(
    input,
    `${input.migration.metadata.name}-${runId.slice(0, 8)}`,
    Date.now(),
  );
  return await drive(run, {
    carryOut: (step) => carryOutStorage(step, run),
    report: (last) => reportOf(run, workflowId, last.kind === 'finish' ? last.outcome : 'failed'),
    goOn: async () => await continueAsNew<typeof storageVersionMigration>({ ...input, state: run.state }),
  });
}

function reportOf(
  { input, state, cluster }: StorageVersionRun,
  workflowId: string,
  outcome: StorageVersionReport['outcome'],
): StorageVersionReport {
  return {
    kind: 'StorageVersionMigration',
    migration: input.migration.metadata.name,
    workflowId,
    cluster: cluster.name,
    outcome,
    resources: state.stored.map(({ resource, definition }) => {
      const storageVersion = versionIn(resource.apiVersion);
      if (definition === undefined) return { resource: resource.name, storageVersion };
      const storedBefore = state.storedBefore[definition.name] ?? [];
      const storedAfter = state.trimmed.includes(definition.name)
        ? [storageVersion]
        : definition.storedVersions;
      return { resource: resource.name, storageVersion, storedBefore, storedAfter };
    }),
    startedAt: state.startedAt,
    finishedAt: state.finishedAt ?? state.startedAt,
    checks: state.checks,
    ...(state.before === undefined ? {} : { before: state.before }),
    ...(state.census === undefined ? {} : { after: state.census }),
    ...(state.reads === undefined ? {} : { reads: state.reads }),
    passes: state.passes,
    ...(state.native === undefined ? {} : { native: state.native }),
    refusals: state.refusals,
    timeline: state.timeline,
  };
}
