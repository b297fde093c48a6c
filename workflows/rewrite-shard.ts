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
import { nextChunkObjects } from '../src/plan/shards.ts';
import { about, agentOf } from './activities.ts';
import { troubleOf } from './failures.ts';
import { shardRateSignal, shardReportSignal } from './messages.ts';
import type { ChunkResult, RewriteChunkInput, ShardInput, ShardReport, ShardResult } from './types.ts';

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
  let objects = limits.objects;
  let pause = FIRST_PAUSE_MS;
  let changed = false;
  /** How often it went on elsewhere. */
  let turn = 0;
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
    const begun = Date.now();
    try {
      const chunk = await rewriteChunk(input, turn, {
        cluster: input.cluster,
        fence: input.fence,
        known: input.known,
        expected: input.expected,
        resource: input.resource,
        range: { ...input.range, start: cursor },
        limits: { ...limits, objects },
        ...(input.schedule === undefined ? {} : { schedule: input.schedule }),
        ...(input.waived === undefined ? {} : { waived: input.waived }),
        ...(input.trial === undefined ? {} : { trial: input.trial }),
      });
      cursor = chunk.cursor;
      counts = sum(counts, chunk.counts);
      refusals = [...refusals, ...chunk.refusals].slice(0, MAX_REFUSALS);
      revision = chunk.revision;
      ({ stalled, slowed } = chunk);
      const last = { objects: chunk.counts.examined, tookMs: Date.now() - begun };
      objects = nextChunkObjects(limits.objects, last, input.ofAll ?? 0);
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
    // An agent that is away, or a node that reaches neither etcd nor its plugin: another may.
    turn += 1;
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

/** By a worker, or of the engine `Etcd` by the agent of a node: shards are spread over them. */
async function rewriteChunk(
  { agents, cluster, resource, index }: ShardInput,
  turn: number,
  chunk: RewriteChunkInput,
): Promise<ChunkResult> {
  const at = agents?.nodes[(index + turn) % agents.nodes.length];
  if (agents === undefined || at === undefined) {
    return await about(`${resource.name}, shard ${index}`).rewriteChunk(chunk);
  }
  const { node, ...configuration } = at;
  const { sealing } = agents;
  return await agentOf(cluster.name, node).rewriteChunk({
    ...chunk,
    configuration,
    ...(sealing === undefined ? {} : { sealing }),
  });
}

/** A report that can't be delivered isn't worth failing for: the shard's result says it all again. */
async function report(payload: ShardReport): Promise<void> {
  const { parent } = workflowInfo();
  if (parent === undefined) return;
  await getExternalWorkflowHandle(parent.workflowId)
    .signal(shardReportSignal, payload)
    .catch(() => undefined);
}
