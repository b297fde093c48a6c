import { CancellationScope, condition, workflowInfo } from '@temporalio/workflow';

/**
 * Whether a run of a migration shall go on in another: each history stays below 2,000 events, with what it takes to stop
 * the shards that are walked at once, about eight events each.
 */
export function isHistoryLong(shardsAtOnce: number): boolean {
  return workflowInfo().historyLength > Math.min(1_500, 1_900 - 8 * shardsAtOnce);
}

/** Carries out a step until the history is long: then it is stopped as for a pause, and the next run takes it up. */
export async function untilHistoryIsLong(shardsAtOnce: number, step: () => Promise<void>): Promise<void> {
  const work = new CancellationScope();
  const clock = new CancellationScope();
  const long = clock.run(() => condition(() => isHistoryLong(shardsAtOnce)));
  long.then(
    () => work.cancel(),
    () => undefined,
  );
  try {
    await work.run(step);
  } finally {
    clock.cancel();
  }
}
