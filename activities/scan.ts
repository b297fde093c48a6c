import { activityInfo } from '@temporalio/activity';
import { endOfPrefix } from '../src/cluster/etcd.ts';
import { keysAtOnceOf, keyWindows } from '../src/cluster/listing.ts';
import type { PlannedShard, PlanShardsInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

interface ScanProgress {
  shards: PlannedShard[];
  open: Omit<PlannedShard, 'end'>;
  /** Where the next window of keys begins. */
  at: string;
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
    const start = resource.etcdPrefix;
    const end = endOfPrefix(start);
    const resumed = activityInfo().heartbeatDetails as ScanProgress | undefined;
    const total = resumed?.total ?? (await etcd.count(start, end)).count;
    const size = Math.max(1, Math.ceil(total / Math.max(1, shards)));
    const limit = await keysAtOnceOf(etcd, total);
    const done: PlannedShard[] = [...(resumed?.shards ?? [])];
    let open = { ...(resumed?.open ?? { start, objects: 0 }) };
    for await (const { entries, end: at } of keyWindows(etcd, resumed?.at ?? start, end, () => limit)) {
      for (const { key } of entries) {
        if (open.objects >= size && done.length + 1 < shards) {
          done.push({ ...open, end: key });
          open = { start: key, objects: 0 };
        }
        open.objects += 1;
      }
      // The last shard takes all that is left.
      if (done.length + 1 >= shards) break;
      tell({ shards: [...done], open: { ...open }, at, total } satisfies ScanProgress);
    }
    const counted = done.reduce((sum, shard) => sum + shard.objects, 0);
    return [...done, { ...open, end, objects: Math.max(open.objects, total - counted) }];
  }
}
