import {
  CancellationScope,
  CancelledFailure,
  getExternalWorkflowHandle,
  isCancellation,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { withoutKeys } from '../src/plan/words.ts';
import { troubleOf } from './failures.ts';
import { censusReportSignal } from './messages.ts';
import type { Resource, WalkState } from './types.ts';

/** Attempts of one run: each is sixteen events of history at most, with its failure, its report and its pause. */
const ATTEMPTS_PER_RUN = 100;
/** Reports of one walk, however long it is and however often it stalls: each is four events for its parent at most. */
const MAX_REPORTS = 50;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

interface Walk<T> {
  resources: Resource[];
  from: WalkState<T>;
  /** Does one chunk. What it answers with is durable; a chunk that failed is tried again by the walk's own clock. */
  chunk: (resource: Resource, cursor: string | undefined) => Promise<{ part: T; cursor: string | undefined }>;
  add: (whole: T, part: T) => T;
  /** Objects that a result stands for. */
  objects: (whole: T) => number;
  /** Goes on in another run. */
  goOn: (from: WalkState<T>) => Promise<never>;
}

export function startOf<T>(result: T): WalkState<T> {
  return { resource: 0, result, reports: 0 };
}

/**
 * Walks all objects, one resource after another, chunk by chunk; nothing that was done is done twice.
 *
 * @throws CancelledFailure when it is stopped; whatever can't succeed by itself
 */
export async function walk<T>({ resources, from, chunk, add, objects, goOn }: Walk<T>): Promise<T> {
  let at = from;
  let pause = FIRST_PAUSE_MS;
  for (let attempts = 0; ; attempts += 1) {
    const resource = resources[at.resource];
    if (resource === undefined) return at.result;
    if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('the walk was stopped');
    if (attempts >= ATTEMPTS_PER_RUN || workflowInfo().continueAsNewSuggested) return await goOn(at);
    try {
      const { part, cursor } = await chunk(resource, at.cursor);
      const result = add(at.result, part);
      const { cursor: _, ...rest } = at;
      at = {
        ...rest,
        result,
        ...(cursor === undefined ? { resource: at.resource + 1 } : { cursor }),
      };
      at = await reported(at, objects(result), undefined);
      pause = FIRST_PAUSE_MS;
    } catch (error) {
      if (isCancellation(error)) throw error;
      const trouble = troubleOf(error);
      if (!trouble.retryable) throw error;
      at = await reported(at, objects(at.result), withoutKeys(trouble.message, resource.etcdPrefix));
      await sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
}

/** Tells the parent what is waited for, where that has changed. It isn't worth failing for. */
async function reported<T>(
  at: WalkState<T>,
  objects: number,
  waitingFor: string | undefined,
): Promise<WalkState<T>> {
  const { parent } = workflowInfo();
  // The last report is kept for the end of a wait.
  const left = MAX_REPORTS - at.reports - (waitingFor === undefined ? 0 : 1);
  if (parent === undefined || waitingFor === at.waitingFor || left <= 0) return at;
  await getExternalWorkflowHandle(parent.workflowId)
    .signal(censusReportSignal, { objects, ...(waitingFor === undefined ? {} : { waitingFor }) })
    .catch(() => undefined);
  const { waitingFor: _, ...rest } = at;
  return { ...rest, ...(waitingFor === undefined ? {} : { waitingFor }), reports: at.reports + 1 };
}
