import { quick } from './activities.ts';
import type { Run } from './run.ts';
import { fenceOf } from './inputs.ts';

/** Takes the cluster for this run, and shuts out whoever may still write for an earlier epoch. */
export async function raiseFence(run: Run): Promise<void> {
  const { cluster, fence } = fenceOf(run);
  const epoch = fence.epoch + 1;
  await quick.raiseFence({ cluster, fence: { ...fence, epoch } });
  run.patch({ epoch });
}

/** Gives the cluster back. */
export async function dropFence(run: Run): Promise<void> {
  await quick.dropFence(fenceOf(run));
}
