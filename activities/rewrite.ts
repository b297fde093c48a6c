import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { ApiServerEngine } from '../src/rewrite/apiserver.ts';
import { NOTHING, sum, type ChunkCounts } from '../src/plan/counts.ts';
import type { ChunkResult } from '../src/rewrite/engine.ts';
import type { RewriteChunkInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

interface ChunkProgress {
  cursor: string;
  counts: ChunkCounts;
}

export function rewriteActivities({ clusters }: ClusterDependencies) {
  return {
    /**
     * Rewrites a stretch of a shard. The cursor it answers with is the durable one; the heartbeat only shortens what a
     * retry repeats. Asked to stop, it finishes the objects under way and answers with where it got.
     */
    async rewriteChunk({ cluster, resource, range, limits }: RewriteChunkInput): Promise<ChunkResult> {
      const resumed = activityInfo().heartbeatDetails as ChunkProgress | undefined;
      const before = resumed?.counts ?? NOTHING;
      const engine = new ApiServerEngine(clusters.get(cluster));
      const result = await beating((tell) =>
        engine.rewriteChunk(
          resource,
          { ...range, start: resumed?.cursor ?? range.start },
          { ...limits, objects: Math.max(1, limits.objects - before.examined) },
          {
            signal: cancellationSignal(),
            onProgress: (cursor, counts) =>
              tell({ cursor, counts: sum(before, counts) } satisfies ChunkProgress),
          },
        ),
      );
      return { ...result, counts: sum(before, result.counts) };
    },
  };
}
