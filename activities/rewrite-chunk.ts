import { activityInfo, cancellationSignal } from '@temporalio/activity';
import type { Cluster } from '../src/cluster/cluster.ts';
import { MAX_REFUSALS, NOTHING, sum } from '../src/plan/counts.ts';
import { waivedValues } from '../src/plan/waivers.ts';
import type { ChunkResult, RewriteEngine } from '../src/rewrite/engine.ts';
import { makeRoom } from '../src/rewrite/make-room.ts';
import { Pace } from '../src/rewrite/pace.ts';
import { throttleOf } from '../src/rewrite/throttle.ts';
import type { RewriteChunkInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import { guard } from './guard.ts';

/** What a retry is told of the attempt before it. */
type ChunkProgress = Pick<ChunkResult, 'counts' | 'refusals'> & { cursor: string };

/**
 * Rewrites a stretch of a shard. The cursor it answers with is the durable one; the heartbeat only shortens what a
 * retry repeats. Asked to stop, it finishes the objects under way and answers with where it got.
 */
export async function rewriteChunkBy(
  engine: RewriteEngine,
  cluster: Cluster,
  { resource, range, limits, schedule, waived = [], ...guarded }: RewriteChunkInput,
): Promise<ChunkResult> {
  const resumed = activityInfo().heartbeatDetails as ChunkProgress | undefined;
  const before = resumed?.counts ?? NOTHING;
  const refusedBefore = resumed?.refusals ?? [];
  const named = (refusals: ChunkResult['refusals']) => [...refusedBefore, ...refusals].slice(0, MAX_REFUSALS);
  const throttle = throttleOf(cluster);
  const pace = new Pace({
    objectsPerSecond: limits.objectsPerSecond,
    verdict: () => throttle.verdict(guarded.known, schedule),
    turn: (objects) => throttle.turn(resource.name, objects),
    signal: cancellationSignal(),
  });
  const result = await beating(async (tell) => {
    const chunk = await engine.rewriteChunk(
      resource,
      { ...range, start: resumed?.cursor ?? range.start },
      { ...limits, objects: Math.max(1, limits.objects - before.examined) },
      {
        signal: cancellationSignal(),
        guard: () => guard(cluster, guarded),
        pace,
        met: throttle.met,
        wrote: (revision) => throttle.wrote(resource.name, revision),
        waived: waivedValues(waived),
        onProgress: (cursor, counts, refusals) =>
          tell({
            cursor,
            counts: sum(before, counts),
            refusals: named([...refusals]),
          } satisfies ChunkProgress),
      },
    );
    if (chunk.stalled === undefined || pace.paused !== 'etcd-room') return chunk;
    const room = await makeRoom(cluster);
    return room === undefined ? chunk : { ...chunk, stalled: `${chunk.stalled}; ${room}` };
  });
  const { slowed } = pace;
  return {
    ...result,
    counts: sum(before, result.counts),
    refusals: named(result.refusals),
    ...(slowed === undefined ? {} : { slowed }),
  };
}
