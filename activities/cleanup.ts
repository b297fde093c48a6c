import { canary, deleteCanary, takeCanary } from '../src/cluster/canary.ts';
import type { RemoveCanariesInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function cleanupActivities({ clusters }: ClusterDependencies) {
  return {
    /** Takes canaries out of etcd that were sealed on the nodes, and that an interrupted proof may have left. */
    async takeCanaries({ cluster, fence, namespace, resources }: RemoveCanariesInput): Promise<void> {
      const connected = clusters.get(cluster);
      await beating(async () => {
        for (const { name } of connected.apiServers) {
          for (const resource of resources)
            await takeCanary(connected, fence, canary(resource, namespace, `read-${name}`, ''));
        }
      });
    },

    /** Removes all canaries that an interrupted proof may have left. */
    async removeCanaries({ cluster, fence, namespace, resources }: RemoveCanariesInput): Promise<void> {
      const connected = clusters.get(cluster);
      const [any] = connected.apiServers;
      if (any === undefined) return;
      await beating(async () => {
        for (const { name } of connected.apiServers) {
          for (const resource of resources) {
            await takeCanary(connected, fence, canary(resource, namespace, `read-${name}`, ''));
            await deleteCanary(any, canary(resource, namespace, `write-${name}`, ''));
          }
        }
      });
    },
  };
}
