import { CancellationScope } from '@temporalio/workflow';
import { countsText, sum } from '../src/plan/counts.ts';
import { delivered } from '../src/plan/native-migration.ts';
import { raiseFence } from './fence.ts';
import type { MigrationRun } from './migration-run.ts';
import { walkNatively } from './rewrite-natively.ts';
import { censusTarget } from './run-census.ts';
import { planShards, walkShards } from './shards.ts';
import { look } from './watch.ts';

/** Walks all shards of a pass, some at a time. Interrupted, it waits for their writers, and keeps where each got. */
export async function rewrite(run: MigrationRun, pass: number): Promise<void> {
  const { seen, shards } = run.state;
  if (!seen.rewrite.begun || seen.rewrite.pass !== pass || shards.length === 0) {
    await raiseFence(run);
    run.patch({ refusals: [] });
    run.event({ kind: 'rewriting', pass });
    // Known for as long as the pass lasts: an interrupted one goes on as it began.
    const natively = rewritesNatively(run, pass);
    const shards = natively ? await planShards(run, 1) : await planShards(run);
    run.patch({ shards, nativeAttempt: natively ? run.state.epoch : undefined });
  }
  const { nativeAttempt } = run.state;
  const changed = await (nativeAttempt === undefined
    ? walkShards(run)
    : walkNatively(run, {
        attempt: nativeAttempt,
        side: seen.goal,
        progress: { target: censusTarget(run), names: run.state.names, goal: seen.goal },
      }));
  if (CancellationScope.current().consideredCancelled) return;
  if (changed) await look(run);
  // Interrupted: a rollback may have put the shards away already.
  if (run.state.shards.some((shard) => !shard.done)) return;
  finish(run, pass);
}

/** Whether a pass is the cluster's own migrator's: the first one, and none once it hasn't delivered. */
function rewritesNatively({ spec, state }: MigrationRun, pass: number): boolean {
  return spec.engine === 'StorageVersionMigration' && pass === 1 && (state.native ?? []).every(delivered);
}

function finish(run: MigrationRun, pass: number): void {
  const { seen, shards, passes } = run.state;
  const counts = sum(...shards.map((shard) => shard.counts));
  run.patch({
    shards: [],
    rate: [],
    soakUntil: 0,
    passes: [...passes, { side: seen.goal, pass, counts }].slice(-20),
  });
  run.note({
    actor: 'keyferry',
    verified: true,
    what: `pass ${pass} done`,
    reason: countsText(counts),
  });
  run.event({ kind: 'rewritten', refused: counts.refused });
}
