import {
  Client,
  Connection,
  isGrpcServiceError,
  WorkflowNotFoundError,
  type WorkflowHandle,
} from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { KeyferryError, messageOf } from '../errors.ts';
import type { ClusterSpec } from '../spec/migration.ts';
import { noNamespace } from '../worker/namespace.ts';
import type { TemporalOptions } from './temporal-options.ts';
import { workflowOf } from './workflows.ts';

const CONNECT_MS = 3_000;

/** gRPC's codes of a server that can't be reached, is too slow, or won't let somebody in. */
const Grpc = { deadlineExceeded: 4, notFound: 5, permissionDenied: 7, unavailable: 14, unauthenticated: 16 };

/**
 * Connects to Temporal, runs, and closes the connection again.
 *
 * @throws KeyferryError `UnavailableTemporal`, `NotFoundNamespace`, and what `run` throws
 */
export async function withTemporal<T>(
  options: TemporalOptions,
  run: (client: Client) => Promise<T>,
): Promise<T> {
  let connection: Connection;
  try {
    connection = await Connection.connect({ address: options.temporalAddress, connectTimeout: CONNECT_MS });
  } catch (error) {
    throw new KeyferryError(
      'UnavailableTemporal',
      `Temporal at ${options.temporalAddress} can't be reached: ${messageOf(error)}`,
      {
        remedy: 'start it, or give its address with --temporal-address or TEMPORAL_ADDRESS',
        retryable: true,
      },
    );
  }
  try {
    return await run(new Client({ connection, namespace: options.temporalNamespace }));
  } catch (error) {
    throw explained(error, options);
  } finally {
    await connection.close();
  }
}

/** What Temporal's own errors mean for whoever runs a command; others stay as they are. */
function explained(error: unknown, { temporalAddress, temporalNamespace }: TemporalOptions): unknown {
  const grpc = grpcErrorIn(error);
  if (
    error instanceof NamespaceNotFoundError ||
    (grpc?.code === Grpc.notFound && /namespace/i.test(grpc.details))
  ) {
    return noNamespace(temporalAddress, temporalNamespace);
  }
  if (grpc?.code === Grpc.unavailable || grpc?.code === Grpc.deadlineExceeded) {
    return new KeyferryError(
      'UnavailableTemporal',
      `Temporal at ${temporalAddress} did not answer: ${grpc.details}`,
      { remedy: 'see that it runs, and try again', retryable: true, cause: error },
    );
  }
  if (grpc?.code === Grpc.permissionDenied || grpc?.code === Grpc.unauthenticated) {
    return new KeyferryError(
      'UnavailableTemporal',
      `Temporal at ${temporalAddress} doesn't let keyferry in: ${grpc.details}`,
      { remedy: `see who may use the namespace "${temporalNamespace}"`, cause: error },
    );
  }
  return error;
}

function grpcErrorIn(error: unknown): { code: number; details: string } | undefined {
  if (isGrpcServiceError(error)) return error;
  return error instanceof Error && error.cause !== undefined && !(error instanceof KeyferryError)
    ? grpcErrorIn(error.cause)
    : undefined;
}

/** One cluster has one migration at a time: its workflow is named after the cluster. */
export async function migrationId(cluster: ClusterSpec): Promise<string> {
  // The clients of a cluster take half a second to load, and most commands need none.
  const { Clusters, clusterUid } = await import('../cluster/cluster.ts');
  const clusters = new Clusters();
  try {
    return `keyferry-migration-${await clusterUid(clusters.get(cluster))}`;
  } finally {
    await clusters.close();
  }
}

/**
 * The migration a command is about: the one named, or the only one there is (running ones first).
 *
 * @throws KeyferryError `NotFoundMigration` where there is none, or more than one to choose from
 */
export async function findMigration(client: Client, id: string | undefined): Promise<WorkflowHandle> {
  if (id !== undefined) {
    const handle = client.workflow.getHandle(id);
    try {
      await handle.describe();
      return handle;
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      throw new KeyferryError('NotFoundMigration', `no migration "${id}"`, {
        remedy: 'see "temporal workflow list" for what there is, and mind --temporal-namespace',
      });
    }
  }
  const types = `WorkflowType IN (${Object.values(workflowOf)
    .map((type) => `'${type}'`)
    .join(', ')})`;
  const running = await idsOf(client, `${types} AND ExecutionStatus = 'Running'`);
  const ids = running.length > 0 ? running : await idsOf(client, types);
  const [only] = ids;
  if (only !== undefined && ids.length === 1) return client.workflow.getHandle(only);
  throw new KeyferryError(
    'NotFoundMigration',
    ids.length === 0 ? 'there is no migration' : `there are ${ids.length} migrations: ${ids.join(', ')}`,
    { remedy: ids.length === 0 ? 'start one: keyferry start -f migration.yaml' : 'name one of them' },
  );
}

async function idsOf(client: Client, query: string): Promise<string[]> {
  const ids = new Set<string>();
  for await (const workflow of client.workflow.list({ query, pageSize: 50 })) {
    ids.add(workflow.workflowId);
    if (ids.size >= 50) break;
  }
  return [...ids];
}
