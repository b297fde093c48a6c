import type { Client, WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import type { Progress } from '../plan/progress.ts';
import { progressQuery } from '../../workflows/messages.ts';

/** How long a query may take: without a worker it would hang for 30 s. */
const QUERY_MS = 2_000;

/** What can be seen of a migration now, with or without a worker. */
export interface Look {
  workflowId: string;
  /** Temporal's word: RUNNING, COMPLETED, FAILED, TERMINATED … */
  execution: string;
  progress?: Progress;
  /** Why there is no progress to show, where there is none. */
  silent?: string;
  /** What activities that are tried again ran into. */
  troubles: string[];
}

/** Looks at a migration; answers within about 3 s whoever is alive. */
export async function look(client: Client, handle: WorkflowHandle): Promise<Look> {
  const [description, progress] = await Promise.all([
    client.connection.withDeadline(Date.now() + QUERY_MS, () => handle.describe()),
    client.connection
      .withDeadline(Date.now() + QUERY_MS, () => handle.query(progressQuery))
      .catch((error: unknown) => error as Error),
  ]);
  const known = {
    workflowId: handle.workflowId,
    execution: description.status.name,
    troubles: troublesOf(description),
  };
  if (!(progress instanceof Error)) return { ...known, progress };
  return { ...known, silent: silence(description) };
}

function silence(description: WorkflowExecutionDescription): string {
  const summary = description.memo?.['migration'];
  const what = typeof summary === 'string' ? ` (migration ${summary})` : '';
  const attempt = description.raw.pendingWorkflowTask?.attempt ?? 1;
  // A worker that died in the middle leaves one failed attempt behind; a worker that fails leaves more and more.
  if (attempt > 2) {
    return `${attempt} attempts of workers to go on have failed${what}: the log of a worker says why; the migration goes on from where it is`;
  }
  return `no worker answers${what}: start one with "keyferry worker"; the migration goes on from where it is`;
}

function troublesOf(description: WorkflowExecutionDescription): string[] {
  return (description.raw.pendingActivities ?? []).flatMap((activity) => {
    const failure = activity.lastFailure?.message;
    if (failure === undefined || failure === null || failure === '') return [];
    return [`${activity.activityType?.name ?? 'activity'} (attempt ${activity.attempt ?? 1}): ${failure}`];
  });
}
