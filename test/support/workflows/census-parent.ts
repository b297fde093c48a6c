import { executeChild, setHandler } from '@temporalio/workflow';
import { census } from '../../../workflows/census.ts';
import { censusReportSignal } from '../../../workflows/messages.ts';
import type { CensusInput, CensusTally } from '../../../workflows/types.ts';

export { census };
export { reads } from '../../../workflows/reads.ts';

/** Stands for a migration: takes a census, and keeps what it is told meanwhile. */
export async function censusParent(input: CensusInput): Promise<{ tally: CensusTally; reports: unknown[] }> {
  const reports: unknown[] = [];
  setHandler(censusReportSignal, (report) => void reports.push(report));
  return { tally: await executeChild(census, { workflowId: 'parent/census', args: [input] }), reports };
}
