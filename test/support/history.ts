import { type Client } from '@temporalio/client';

/** One run of a workflow, and how many events its history has. */
export interface RunLength {
  readonly workflowId: string;
  readonly type: string;
  readonly events: number;
}

/** The runs of a workflow and of all its children, those that went on in another run included; the longest first. */
export async function historyLengths(client: Client, workflowId: string): Promise<RunLength[]> {
  const runs: RunLength[] = [];
  for await (const run of client.workflow.list({ query: `WorkflowId STARTS_WITH "${workflowId}"` })) {
    const described = await client.workflow.getHandle(run.workflowId, run.runId).describe();
    runs.push({ workflowId: run.workflowId, type: run.type, events: described.historyLength });
  }
  return runs.sort((a, b) => b.events - a.events);
}

/** Events that one run may have. */
export const MOST_EVENTS = 2_000;
