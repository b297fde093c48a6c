import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { agentActivities, clusterActivities } from '../../activities/index.ts';
import { Clusters } from '../cluster/cluster.ts';
import { KeyferryError, messageOf } from '../errors.ts';
import { PluginConnections } from '../kms-plugin/connections.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { FailureInterceptor } from './failures.ts';
import { noNamespace } from './namespace.ts';
import { temporalLogger } from './temporal-logger.ts';

export interface TemporalTarget {
  address: string;
  namespace: string;
}

/** A chunk ends by itself within 10 s: a worker that is asked to stop lets it. */
const SHUTDOWN_GRACE = '15s';

/** How long Temporal waits for the worker that has a workflow in its cache, before another is asked: it may be dead. */
const CACHED_WORKER_WAIT = '5s';

/**
 * Each poll that a frozen worker leaves open takes one task with it, which Temporal misses after its timeout, one after
 * another. Tasks are few and long here: two polls bring them as fast as ten.
 */
const POLLS = 2;

/** Runs workflows and the activities of clusters until the process is told to stop. */
export async function runWorker(options: TemporalTarget & { taskQueue: string }): Promise<void> {
  const log = createLogger('worker');
  const clusters = new Clusters();
  try {
    await serve(log, options, {
      taskQueue: options.taskQueue,
      ...workflowSource(),
      activities: clusterActivities({ clusters }),
    });
  } finally {
    await clusters.close();
  }
}

/** Runs the activities of one control-plane node until the process is told to stop. */
export async function runAgent(
  options: TemporalTarget & { cluster: string; node: string; restartCommand: string | undefined },
): Promise<void> {
  const { cluster, node, restartCommand } = options;
  const clusters = new Clusters();
  const plugins = new PluginConnections();
  try {
    await serve(createLogger('agent'), options, {
      taskQueue: `keyferry-node.${cluster}.${node}`,
      activities: agentActivities({ node, restartCommand, clusters, plugins }),
    });
  } finally {
    plugins.close();
    await clusters.close();
  }
}

async function serve(
  log: Logger,
  temporal: TemporalTarget,
  options: Pick<WorkerOptions, 'activities' | 'workflowsPath' | 'workflowBundle'> & { taskQueue: string },
): Promise<void> {
  Runtime.install({ logger: temporalLogger(log), shutdownSignals: ['SIGTERM', 'SIGINT'] });
  const connection = await connect(temporal);
  try {
    await findNamespace(connection, temporal);
    const worker = await Worker.create({
      connection,
      namespace: temporal.namespace,
      ...options,
      shutdownGraceTime: SHUTDOWN_GRACE,
      maxConcurrentWorkflowTaskPolls: POLLS,
      maxConcurrentActivityTaskPolls: POLLS,
      stickyQueueScheduleToStartTimeout: CACHED_WORKER_WAIT,
      maxHeartbeatThrottleInterval: '1s',
      defaultHeartbeatThrottleInterval: '1s',
      interceptors: { activity: [() => ({ inbound: new FailureInterceptor() })] },
    });
    log.info({ taskQueue: options.taskQueue, temporal: temporal.address }, 'ready');
    await worker.run();
    log.info('stopped');
  } finally {
    await connection.close();
  }
}

async function connect({ address }: TemporalTarget): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect({ address });
  } catch (error) {
    throw new KeyferryError(
      'UnavailableTemporal',
      `Temporal at ${address} can't be reached: ${messageOf(error)}`,
      {
        remedy: 'start it, or give its address with --temporal-address or TEMPORAL_ADDRESS',
        retryable: true,
      },
    );
  }
}

/** The SDK's own worker tells of a namespace that isn't there as of a defect, and may not end. */
async function findNamespace(
  connection: NativeConnection,
  { address, namespace }: TemporalTarget,
): Promise<void> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
  } catch (error) {
    const NOT_FOUND = 5;
    // Whatever else it says of itself, the worker finds out what it may do.
    if ((error as { code?: number }).code === NOT_FOUND) throw noNamespace(address, namespace);
  }
}

/**
 * The bundle that the build made. A checkout that runs unbuilt makes one of its sources, which takes seconds; whoever starts
 * many workers of it makes one for all of them, and names it in `KEYFERRY_WORKFLOW_BUNDLE`.
 */
function workflowSource(): Pick<WorkerOptions, 'workflowsPath' | 'workflowBundle'> {
  const built = fileURLToPath(new URL('../../workflow-bundle.js', import.meta.url));
  if (existsSync(built)) return { workflowBundle: { codePath: built } };
  const given = process.env['KEYFERRY_WORKFLOW_BUNDLE'];
  if (given !== undefined) return { workflowBundle: { codePath: given } };
  return { workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)) };
}
