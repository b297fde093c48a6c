import { canary, deleteCanary } from '../src/cluster/canary.ts';
import type { RemoveCanariesInput } from '../workflows/types.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function cleanupActivities({ clusters }: ClusterDependencies) {
  return {
    /** Removes canaries that an interrupted proof may have left. */
    async removeCanaries({ cluster, namespace, resources }: RemoveCanariesInput): Promise<void> {
      const { apiServers } = clusters.get(cluster);
      for (const server of apiServers) {
        for (const resource of resources) {
          for (const purpose of [`read-${server.name}`, `write-${server.name}`]) {
            await deleteCanary(server, canary(resource, namespace, purpose, ''));
          }
        }
      }
    },
  };
}
