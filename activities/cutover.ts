import type { CompactionInput } from '../workflows/types.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function cutoverActivities({ clusters }: ClusterDependencies) {
  return {
    /** Whether etcd's history before a revision is gone: until then old continue tokens and watches read old values. */
    async compactedPast({ cluster, revision }: CompactionInput): Promise<boolean> {
      return await clusters.get(cluster).etcd.compactedPast(revision);
    },
  };
}
