import { refText } from '../src/plan/sides.ts';
import type { NativeEvidence } from '../src/plan/native-migration.ts';
import type { MigrationRun } from './migration-run.ts';
import type {
  CensusTally,
  Check,
  MigrationState,
  ReadsResult,
  Refusal,
  TimelineEntry,
  Waiver,
} from './types.ts';

/** How a migration ended, and what proves it. Names, counts and hashes only. */
export interface MigrationReport {
  migration: string;
  workflowId: string;
  cluster: string;
  outcome: 'completed' | 'rolled-back' | 'failed';
  source: string;
  target: string;
  startedAt: number;
  finishedAt: number;
  checks: Check[];
  /** What every object was encrypted with before anything was changed, and at the end. */
  before?: CensusTally;
  after?: CensusTally;
  reads?: ReadsResult;
  passes: MigrationState['passes'];
  /** Of the engine `StorageVersionMigration`: what the cluster's own migrator claimed, and what a census found of that. */
  native?: NativeEvidence[];
  refusals: Refusal[];
  /** What was left behind, for no API server could read it: who gave it up, and why. */
  waivers: Waiver[];
  timeline: TimelineEntry[];
}

export function reportOf(
  run: MigrationRun,
  workflowId: string,
  outcome: MigrationReport['outcome'],
): MigrationReport {
  const { state } = run;
  return {
    migration: run.input.migration.metadata.name,
    workflowId,
    cluster: run.spec.cluster.name,
    outcome,
    source: refText(run.source),
    target: refText(run.target),
    startedAt: state.startedAt,
    finishedAt: state.finishedAt ?? state.startedAt,
    checks: state.checks,
    ...(state.before === undefined ? {} : { before: state.before }),
    ...(state.census === undefined ? {} : { after: state.census }),
    ...(state.reads === undefined ? {} : { reads: state.reads }),
    passes: state.passes,
    ...(state.native === undefined ? {} : { native: state.native }),
    refusals: state.refusals,
    waivers: state.waivers,
    timeline: state.timeline,
  };
}
