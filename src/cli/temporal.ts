import { Client, Connection, WorkflowNotFoundError, type WorkflowHandle } from '@temporalio/client';
import { KeyferryError, messageOf } from '../errors.ts';
import type { ClusterSpec } from '../spec/migration.ts';
import type { TemporalOptions } from './temporal-options.ts';

const CONNECT_MS = 3_000;

/** Connects to Temporal, runs, and closes the connection again. */
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
  } finally {
    await connection.close();
  }
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
  const running = await idsOf(client, `WorkflowType = 'migration' AND ExecutionStatus = 'Running'`);
  const ids = running.length > 0 ? running : await idsOf(client, `WorkflowType = 'migration'`);
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
