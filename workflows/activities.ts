import { ActivityCancellationType, proxyActivities, type ActivityInterfaceFor } from '@temporalio/workflow';
import type { AgentActivities, ClusterActivities } from '../activities/index.ts';
import { absentAgent } from './failures.ts';

/**
 * A few quick attempts, then the workflow is told: it says what it waits for, and tries again by its own clock.
 * Temporal's own endless retry would wait in silence.
 */
const retry = { initialInterval: '1s', maximumInterval: '5s', maximumAttempts: 3 } as const;

/**
 * Activities that write, or may be writing: the workflow moves on only once they have answered. (With TRY_CANCEL a chunk
 * was seen to write 415 ms after its workflow had moved on.)
 *
 * @param summary - what they are about, for the Temporal UI
 */
export function about(summary: string): ActivityInterfaceFor<ClusterActivities> {
  return proxyActivities<ClusterActivities>({
    summary,
    startToCloseTimeout: '10m',
    heartbeatTimeout: '10s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  });
}

export const cluster = about('all API servers');

/** Watches for as long as nothing happens. */
export const watching: ActivityInterfaceFor<ClusterActivities> = proxyActivities<ClusterActivities>({
  summary: 'all API servers',
  startToCloseTimeout: '2h',
  heartbeatTimeout: '10s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

/** Single questions, each bounded by a deadline of its own: a worker that dies over one is missed soon without a heartbeat. */
export const quick: ActivityInterfaceFor<ClusterActivities> = proxyActivities<ClusterActivities>({
  startToCloseTimeout: '45s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

/**
 * The agent of one node, on its own task queue. An agent that isn't there is told within 30 s, by the name of its node;
 * without that limit the task would lie in the queue in silence.
 */
export function agentOf(clusterName: string, node: string): ActivityInterfaceFor<AgentActivities> {
  const agent = proxyActivities<AgentActivities>({
    taskQueue: `keyferry-node.${clusterName}.${node}`,
    summary: node,
    scheduleToStartTimeout: '30s',
    // What takes long heartbeats: a restart, a chunk.
    startToCloseTimeout: '10m',
    heartbeatTimeout: '15s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  });
  return new Proxy(agent, {
    get: (_, name: keyof AgentActivities) => async (input: never) =>
      await (agent[name] as (input: never) => Promise<unknown>)(input).catch((error: unknown) =>
        absentAgent(error, clusterName, node),
      ),
  });
}
