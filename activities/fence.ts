import { dropFence, raiseFence } from '../src/cluster/fence.ts';
import type { FenceInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function fenceActivities({ clusters }: ClusterDependencies) {
  return {
    /** Takes the cluster for the migration, and shuts out whoever may still write for an older epoch. */
    async raiseFence({ cluster, fence }: FenceInput): Promise<void> {
      await beating(() => raiseFence(clusters.get(cluster), fence));
    },

    /** Gives the cluster back. */
    async dropFence({ cluster, fence }: FenceInput): Promise<void> {
      await beating(() => dropFence(clusters.get(cluster), fence));
    },
  };
}
