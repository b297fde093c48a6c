import { CancellationScope, getExternalWorkflowHandle, sleep, workflowInfo } from '@temporalio/workflow';
import { shardRateSignal } from './messages.ts';

/** A shard that was started a moment ago may not be there yet. */
const ATTEMPTS = 5;
const PAUSE_MS = 2_000;

export function shardId(index: number): string {
  return `${workflowInfo().workflowId}/shard-${index}`;
}

/**
 * Tells a shard how fast it may go from now on.
 *
 * @param objectsPerSecond - the shard's share; 0: no limit
 * @param stands - whether the shard is still walked, and nothing else was asked for since
 */
export function tellRate(index: number, objectsPerSecond: number, stands: () => boolean): void {
  CancellationScope.nonCancellable(async () => {
    for (let attempt = 1; attempt <= ATTEMPTS && stands(); attempt += 1) {
      try {
        await getExternalWorkflowHandle(shardId(index)).signal(shardRateSignal, objectsPerSecond);
        return;
      } catch {
        await sleep(PAUSE_MS);
      }
    }
    // One that was told nothing keeps to the rate it began with.
  }).catch(() => undefined);
}
