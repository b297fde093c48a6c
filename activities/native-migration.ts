import { cancellationSignal, sleep } from '@temporalio/activity';
import { checkFence } from '../src/cluster/fence.ts';
import {
  askForNative,
  lookAtNative,
  removeNatives,
  withdrawNative,
} from '../src/cluster/native-migration.ts';
import type { NativeLook } from '../src/plan/native-migration.ts';
import { nativePrefix } from '../src/plan/native-object.ts';
import type {
  AskForNativeInput,
  NativeAsked,
  WatchNativeInput,
  WithdrawNativeInput,
} from '../workflows/native-types.ts';
import type { FenceInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { guard } from './guard.ts';

const POLL_MS = 2_000;

/** StorageVersionMigrations of the cluster: what its own kube-controller-manager carries out. */
export function nativeMigrationActivities({ clusters }: ClusterDependencies) {
  return {
    /** Asks the cluster to rewrite a resource, unless a newer step has shut this one out. Safe to repeat. */
    async askForNative({ cluster, fence, resource, name }: AskForNativeInput): Promise<NativeAsked> {
      const connected = clusters.get(cluster);
      return await beating(async () => {
        await checkFence(connected, fence);
        return await askForNative(connected, resource, name);
      });
    },

    /** Watches one until it changes or is gone, the time is over, or it is asked to stop. */
    async watchNative({
      cluster,
      api,
      resource,
      name,
      revision,
      forMs,
      guarded,
    }: WatchNativeInput): Promise<NativeLook> {
      const connected = clusters.get(cluster);
      const deadline = Date.now() + forMs;
      return await beating(async () => {
        for (;;) {
          if (guarded !== undefined) await guard(connected, guarded);
          const look = await lookAtNative(connected, api, resource, name);
          const left = deadline - Date.now();
          if (look.object?.revision !== revision || left <= 0 || cancellationSignal().aborted) return look;
          await sleep(Math.min(POLL_MS, left)).catch(() => undefined);
        }
      });
    },

    /** Deletes one, if it is still as it was seen; answers whether it was. */
    async withdrawNative({ cluster, api, object }: WithdrawNativeInput): Promise<boolean> {
      return await beating(() => withdrawNative(clusters.get(cluster), api, object));
    },

    /** Deletes all that a migration has made. */
    async removeNatives({ cluster, fence }: FenceInput): Promise<void> {
      await beating(() => removeNatives(clusters.get(cluster), nativePrefix(fence.holder)));
    },
  };
}
