import { quick } from './activities.ts';
import type { MigrationRun } from './migration-run.ts';
import { fenceOf } from './watch.ts';

/** Takes the cluster for this migration, and shuts out whoever may still write for an earlier epoch. */
export async function raiseFence(run: MigrationRun): Promise<void> {
  const { cluster, fence } = fenceOf(run);
  const epoch = fence.epoch + 1;
  await quick.raiseFence({ cluster, fence: { ...fence, epoch } });
  run.patch({ epoch });
}

/** Gives the cluster back. */
export async function dropFence(run: MigrationRun): Promise<void> {
  await quick.dropFence(fenceOf(run));
}
