import { canary, deleteCanary, takeCanary } from '../src/cluster/canary.ts';
import type { RemoveCanariesInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function cleanupActivities({ clusters }: ClusterDependencies) {
  return {
    /** Removes canaries that an interrupted proof may have left. */
    async removeCanaries({ cluster, namespace, resources }: RemoveCanariesInput): Promise<void> {
      const connected = clusters.get(cluster);
      const [any] = connected.apiServers;
      if (any === undefined) return;
      await beating(async () => {
        for (const { name } of connected.apiServers) {
          for (const resource of resources) {
            await takeCanary(connected, canary(resource, namespace, `read-${name}`, ''));
            await deleteCanary(any, canary(resource, namespace, `write-${name}`, ''));
          }
        }
      });
    },
  };
}
