import { CancellationScope } from '@temporalio/workflow';

/**
 * Waits for all of them, whatever becomes of one: where one fails, the others are asked to stop, and are waited for. (With
 * Promise.all a migration read "paused" while shards whose sibling had failed went on writing.)
 *
 * @throws what the first one threw
 */
export async function together(all: readonly Promise<void>[]): Promise<void> {
  const scope = CancellationScope.current();
  const failures: unknown[] = [];
  await Promise.all(
    all.map(async (one) => {
      try {
        await one;
      } catch (error) {
        failures.push(error);
        scope.cancel();
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}
