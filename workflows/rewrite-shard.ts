import {
  CancellationScope,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { MAX_REFUSALS, sum } from '../src/plan/counts.ts';
import { about } from './activities.ts';
import { troubleOf } from './failures.ts';
import { shardRateSignal, shardReportSignal } from './messages.ts';
import type { ChunkResult, ShardInput, ShardReport, ShardResult } from './types.ts';

/** Chunks of one run: each is about ten events of history. */
const CHUNKS_PER_RUN = 100;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Walks one range of keys in chunks. The durable cursor is a chunk's result: whatever dies, at most one chunk is
 * repeated. Cancelled, it waits for the chunk under way to answer, and returns where it got.
 */
export async function rewriteShard(input: ShardInput): Promise<ShardResult> {
  let { counts, refusals, limits } = input;
  let cursor: string | undefined = input.range.start;
  let revision = 0;
  let reported = counts.examined;
  let pause = FIRST_PAUSE_MS;
  let changed = false;
  let said: string | undefined;
  let saidAt = 0;
  let slowedBy: string | undefined;
  setHandler(shardRateSignal, (given) => {
    // Anybody may send it anything.
    if (typeof given !== 'number' || !(given >= 0)) return;
    limits = { ...limits, objectsPerSecond: given };
  });
  const result = (): ShardResult => ({
    ...(cursor === undefined ? {} : { cursor }),
    counts,
    refusals,
    revision,
    changed,
  });

  for (let chunks = 0; cursor !== undefined; chunks += 1) {
    if (CancellationScope.current().consideredCancelled) return result();
    if (chunks >= CHUNKS_PER_RUN || workflowInfo().continueAsNewSuggested) {
      return await continueAsNew<typeof rewriteShard>({
        ...input,
        range: { ...input.range, start: cursor },
        limits,
        counts,
        refusals,
      });
    }
    let stalled: string | undefined;
    let slowed: ChunkResult['slowed'];
    try {
      const chunk: ChunkResult = await about(`${input.resource.name}, shard ${input.index}`).rewriteChunk({
        cluster: input.cluster,
        fence: input.fence,
        known: input.known,
        expected: input.expected,
        resource: input.resource,
        range: { ...input.range, start: cursor },
        limits,
        ...(input.schedule === undefined ? {} : { schedule: input.schedule }),
        ...(input.waived === undefined ? {} : { waived: input.waived }),
      });
      cursor = chunk.cursor;
      counts = sum(counts, chunk.counts);
      refusals = [...refusals, ...chunk.refusals].slice(0, MAX_REFUSALS);
      revision = chunk.revision;
      ({ stalled, slowed } = chunk);
    } catch (error) {
      if (isCancellation(error)) return result();
      const trouble = troubleOf(error);
      if (trouble.code === 'ServersChanged') {
        changed = true;
        return result();
      }
      if (!trouble.retryable) throw error;
      stalled = trouble.message;
    }
    if (CancellationScope.current().consideredCancelled) return result();
    // Days of trouble must not fill the parent's history: what is the same is said once, anything new once a minute.
    const other = stalled !== said || slowed?.gauge !== slowedBy;
    const news = other && Date.now() - saidAt >= LONGEST_PAUSE_MS;
    if (news || cursor === undefined || counts.examined - reported >= input.reportEvery) {
      reported = counts.examined;
      if (other) saidAt = Date.now();
      said = stalled;
      slowedBy = slowed?.gauge;
      await report({
        index: input.index,
        counts,
        ...(stalled === undefined ? {} : { stalled }),
        ...(slowed === undefined ? {} : { slowed: slowed.reason }),
      });
    }
    if (stalled === undefined) {
      pause = FIRST_PAUSE_MS;
      continue;
    }
    try {
      await sleep(pause);
    } catch (error) {
      if (isCancellation(error)) return result();
      throw error;
    }
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
  return result();
}

/** A report that can't be delivered isn't worth failing for: the shard's result says it all again. */
async function report(payload: ShardReport): Promise<void> {
  const { parent } = workflowInfo();
  if (parent === undefined) return;
  await getExternalWorkflowHandle(parent.workflowId)
    .signal(shardReportSignal, payload)
    .catch(() => undefined);
}
