import { continueAsNew, setHandler, workflowInfo } from '@temporalio/workflow';
import { outline } from '../src/plan/outline.ts';
import { drive } from './drive.ts';
import { planQuery } from './messages.ts';
import { MigrationRun } from './migration-run.ts';
import { reportOf, type MigrationReport } from './report.ts';
import { carryOut } from './steps.ts';
import type { MigrationInput } from './types.ts';

/**
 * Moves one cluster from a provider to another. It does what src/plan decides, one step at a time, and waits for
 * people where a gate says so. It ends completed, rolled back, or failed with nothing changed.
 */
export async function migration(input: MigrationInput): Promise<MigrationReport> {
  const { workflowId, runId } = workflowInfo();
  const run = new MigrationRun(input, `${input.migration.metadata.name}-${runId.slice(0, 8)}`, Date.now());
  setHandler(planQuery, () => outline(run.state.seen));
  return await drive(run, {
    carryOut: (step) => carryOut(step, run),
    report: (last) => reportOf(run, workflowId, last.kind === 'finish' ? last.outcome : 'failed'),
    goOn: async () => await continueAsNew<typeof migration>({ ...input, state: run.state }),
  });
}
