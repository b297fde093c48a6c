import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { ApiServerEngine } from '../src/rewrite/apiserver.ts';
import { MAX_REFUSALS, NOTHING, sum } from '../src/plan/counts.ts';
import { waivedValues } from '../src/plan/waivers.ts';
import type { ChunkResult } from '../src/rewrite/engine.ts';
import type { RewriteChunkInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

/** What a retry is told of the attempt before it. */
type ChunkProgress = Pick<ChunkResult, 'counts' | 'refusals'> & { cursor: string };

export function rewriteActivities({ clusters }: ClusterDependencies) {
  return {
    /**
     * Rewrites a stretch of a shard. The cursor it answers with is the durable one; the heartbeat only shortens what a
     * retry repeats. Asked to stop, it finishes the objects under way and answers with where it got.
     */
    async rewriteChunk({
      cluster,
      resource,
      range,
      limits,
      waived = [],
    }: RewriteChunkInput): Promise<ChunkResult> {
      const resumed = activityInfo().heartbeatDetails as ChunkProgress | undefined;
      const before = resumed?.counts ?? NOTHING;
      const refusedBefore = resumed?.refusals ?? [];
      const named = (refusals: ChunkResult['refusals']) =>
        [...refusedBefore, ...refusals].slice(0, MAX_REFUSALS);
      const engine = new ApiServerEngine(clusters.get(cluster));
      const result = await beating((tell) =>
        engine.rewriteChunk(
          resource,
          { ...range, start: resumed?.cursor ?? range.start },
          { ...limits, objects: Math.max(1, limits.objects - before.examined) },
          {
            signal: cancellationSignal(),
            waived: waivedValues(waived),
            onProgress: (cursor, counts, refusals) =>
              tell({
                cursor,
                counts: sum(before, counts),
                refusals: named([...refusals]),
              } satisfies ChunkProgress),
          },
        ),
      );
      return { ...result, counts: sum(before, result.counts), refusals: named(result.refusals) };
    },
  };
}
