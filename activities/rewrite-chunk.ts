import { activityInfo, cancellationSignal } from '@temporalio/activity';
import type { Cluster } from '../src/cluster/cluster.ts';
import { checkFence } from '../src/cluster/fence.ts';
import { recentLook } from '../src/cluster/identity.ts';
import { KeyferryError } from '../src/errors.ts';
import { MAX_REFUSALS, NOTHING, sum } from '../src/plan/counts.ts';
import { waivedValues } from '../src/plan/waivers.ts';
import { changesIn } from '../src/plan/watch.ts';
import type { ChunkResult, RewriteEngine } from '../src/rewrite/engine.ts';
import { Pace } from '../src/rewrite/pace.ts';
import { LOOK_MS, throttleOf } from '../src/rewrite/throttle.ts';
import type { GuardedInput, RewriteChunkInput } from '../workflows/types.ts';
import { beating } from './beating.ts';

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
  const pace = new Pace(
    limits.objectsPerSecond,
    () => throttle.verdict(guarded.known, schedule),
    cancellationSignal(),
  );
  const result = await beating((tell) =>
    engine.rewriteChunk(
      resource,
      { ...range, start: resumed?.cursor ?? range.start },
      { ...limits, objects: Math.max(1, limits.objects - before.examined) },
      {
        signal: cancellationSignal(),
        guard: () => guard(cluster, guarded),
        pace,
        met: throttle.met,
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
  const { slowed } = pace;
  return {
    ...result,
    counts: sum(before, result.counts),
    refusals: named(result.refusals),
    ...(slowed === undefined ? {} : { slowed }),
  };
}

/** @throws KeyferryError `Fenced`; `ServersChanged` when the API servers aren't those any more that were proven */
async function guard(
  cluster: Cluster,
  { fence, known, expected }: Omit<GuardedInput, 'cluster'>,
): Promise<void> {
  await checkFence(cluster, fence);
  const { look } = await recentLook(cluster, known, LOOK_MS);
  const whys = [
    ...changesIn(look, expected).map(({ why }) => why),
    ...look.strangers.map((stranger) => `${stranger} lives, and isn't listed`),
  ];
  if (whys.length === 0) return;
  throw new KeyferryError('ServersChanged', whys.join('; '), {
    remedy: 'keyferry looks at every API server before it goes on',
  });
}
