import { activityInfo } from '@temporalio/activity';
import { after, endOfPrefix } from '../src/cluster/etcd.ts';
import type { PlannedShard, PlanShardsInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

const PAGE = 5_000;

interface ScanProgress {
  shards: PlannedShard[];
  cursor: string;
  total: number;
}

export function scanActivities({ clusters }: ClusterDependencies) {
  return {
    /** Counts the objects of a resource. */
    async countObjects({ cluster, resource }: Omit<PlanShardsInput, 'shards'>): Promise<number> {
      const { etcd } = clusters.get(cluster);
      return (await etcd.count(resource.etcdPrefix, endOfPrefix(resource.etcdPrefix))).count;
    },

    /**
     * Cuts a resource's keys into ranges of about equal counts. Together they cover the whole prefix, so that what
     * appears while they are walked lies in one of them.
     */
    async planShards(input: PlanShardsInput): Promise<PlannedShard[]> {
      return await beating((tell) => planned(input, tell));
    },
  };

  async function planned(
    { cluster, resource, shards }: PlanShardsInput,
    tell: (progress: ScanProgress) => void,
  ): Promise<PlannedShard[]> {
    const { etcd } = clusters.get(cluster);
    const end = endOfPrefix(resource.etcdPrefix);
    const resumed = activityInfo().heartbeatDetails as ScanProgress | undefined;
    const total = resumed?.total ?? (await etcd.count(resource.etcdPrefix, end)).count;
    const size = Math.max(1, Math.ceil(total / Math.max(1, shards)));
    const done: PlannedShard[] = resumed?.shards ?? [];
    let open: PlannedShard = { start: resumed?.cursor ?? resource.etcdPrefix, end, objects: 0 };
    for (;;) {
      // One page ends exactly where the shard does, or before.
      const page = await etcd.range({
        start: open.objects === 0 ? open.start : open.end,
        end,
        limit: Math.min(PAGE, size - open.objects),
        keysOnly: true,
      });
      const last = page.entries.at(-1);
      open.objects += page.entries.length;
      if (last === undefined || !page.more || done.length + 1 >= shards) {
        // The last shard takes all that is left, and its count what the others leave.
        const counted = done.reduce((sum, shard) => sum + shard.objects, 0);
        return [...done, { start: open.start, end, objects: Math.max(open.objects, total - counted) }];
      }
      open.end = after(last.key);
      if (open.objects < size) continue;
      done.push(open);
      tell({ shards: [...done], cursor: open.end, total });
      open = { start: open.end, end, objects: 0 };
    }
  }
}
