import { CancellationScope, sleep } from '@temporalio/workflow';
import { countsText, sum } from '../src/plan/counts.ts';
import { objects } from '../src/plan/words.ts';
import { raiseFence } from './fence.ts';
import { walkNatively } from './rewrite-natively.ts';
import { planShards, walkShards } from './shards.ts';
import { keepStoredOrHold } from './storage-version-natively.ts';
import { agentsOpening } from './storage-version-preflight.ts';
import type { StorageVersionRun } from './storage-version-run.ts';
import type { ChunkCounts } from './types.ts';

const POLL = '5s';

/** Tries the conversion of objects, and writes nothing. */
export async function tryConversions(run: StorageVersionRun): Promise<void> {
  if (run.state.seen.native?.trial !== 'begun') {
    const shards = await planShards(run);
    run.patch({ refusals: [], shards: shards.filter(({ resource }) => run.trialOf(resource) !== undefined) });
    run.event({ kind: 'trying' });
  }
  if (!(await toTheEnd(run, () => walkShards(run)))) return;
  const counts = putAway(run);
  run.note({
    actor: 'keyferry',
    verified: true,
    what: `${objects(counts.examined)} walked, their conversions tried`,
    reason: `${counts.refused} refused; nothing was written`,
  });
  run.event({ kind: 'tried', refused: counts.refused });
}

/** Walks all shards of a pass, some at a time. Interrupted, it waits for their writers, and keeps where each got. */
export async function rewrite(run: StorageVersionRun, pass: number, natively: boolean): Promise<void> {
  const { seen, shards } = run.state;
  if (!seen.rewrite.begun || seen.rewrite.pass !== pass || shards.length === 0) {
    await raiseFence(run);
    run.patch({ refusals: [] });
    run.event({ kind: 'rewriting', pass });
    const planned = natively ? await planShards(run, 1) : await planShards(run);
    run.patch({ shards: planned, nativeAttempt: natively ? run.state.epoch : undefined });
  }
  const { nativeAttempt } = run.state;
  const walk =
    nativeAttempt === undefined
      ? () => walkShards(run)
      : () =>
          walkNatively(run, {
            attempt: nativeAttempt,
            side: 'target',
            progress: { openedBy: agentsOpening(run.cluster) },
            // Also where it was interrupted: whatever has ended has trimmed.
            ended: async () => {
              await CancellationScope.nonCancellable(() => keepStoredOrHold(run));
            },
          });
  if (!(await toTheEnd(run, walk))) return;
  const counts = putAway(run);
  run.patch({ passes: [...run.state.passes, { pass, counts }].slice(-20) });
  run.note({ actor: 'keyferry', verified: true, what: `pass ${pass} done`, reason: countsText(counts) });
  run.event({ kind: 'rewritten', refused: counts.refused });
}

/** Whether all shards are done; it was interrupted otherwise, or an API server isn't listed. */
async function toTheEnd(run: StorageVersionRun, walk: () => Promise<boolean>): Promise<boolean> {
  const stranger = await walk();
  if (CancellationScope.current().consideredCancelled) return false;
  if (stranger) {
    run.waitFor('an API server that is not listed to be gone');
    await sleep(POLL);
  }
  return run.state.shards.every((shard) => shard.done);
}

/** @returns what came of all objects */
function putAway(run: StorageVersionRun): ChunkCounts {
  const counts = sum(...run.state.shards.map((shard) => shard.counts));
  run.patch({ shards: [], rate: [] });
  return counts;
}
