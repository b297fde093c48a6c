import { activityInfo } from '@temporalio/activity';
import { after, endOfPrefix } from '../src/cluster/etcd.ts';
import { keysAtOnceOf } from '../src/cluster/listing.ts';
import type { PlannedShard, PlanShardsInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

interface ScanProgress {
  shards: PlannedShard[];
  open: Omit<PlannedShard, 'end'>;
  /** Where the next page begins. */
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
    let at: string | undefined = resumed?.at ?? start;
    // The last shard takes all that is left.
    while (at !== undefined && done.length + 1 < shards) {
      const { entries, more } = await etcd.range({ start: at, end, limit, keysOnly: true });
      for (const { key } of entries) {
        if (open.objects >= size && done.length + 1 < shards) {
          done.push({ ...open, end: key });
          open = { start: key, objects: 0 };
        }
        open.objects += 1;
      }
      const last = entries.at(-1);
      at = more && last !== undefined ? after(last.key) : undefined;
      if (at !== undefined) tell({ shards: [...done], open: { ...open }, at, total } satisfies ScanProgress);
    }
    const counted = done.reduce((sum, shard) => sum + shard.objects, 0);
    return [...done, { ...open, end, objects: Math.max(open.objects, total - counted) }];
  }
}
