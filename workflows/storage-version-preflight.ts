import { bounded, failed, passed, type Check } from '../src/plan/preflight.ts';
import { judgeAtRest } from '../src/plan/preflight-storage.ts';
import { nodeOf, onNode } from '../src/plan/sides.ts';
import type { ClusterSpec } from '../src/spec/migration.ts';
import type {
  StorageVersionMigration,
  StorageVersionMigrationSpec,
} from '../src/spec/storage-version-migration.ts';
import { agentOf, cluster } from './activities.ts';
import { troubleOf } from './failures.ts';
import type { NodeAgent, StoragePreflightResult } from './storage-version-types.ts';
import type { Resource } from './types.ts';

export interface StoragePreflightReport extends StoragePreflightResult {
  passed: boolean;
}

/** Runs every check of a StorageVersionMigration, and changes nothing. */
export async function storageVersionPreflight({
  spec,
}: StorageVersionMigration): Promise<StoragePreflightReport> {
  const found = await seen(spec);
  const checks: Check[] = bounded(found.checks);
  return { ...found, checks, passed: passed(checks) };
}

async function seen(spec: StorageVersionMigration['spec']): Promise<StoragePreflightResult> {
  try {
    const agents = agentsOpening(spec.cluster);
    const found = await cluster.storagePreflight({
      cluster: spec.cluster,
      resources: spec.resources,
      opened: agents.length > 0,
      engine: spec.engine,
    });
    const atRest = await Promise.all(
      agents.flatMap((agent) => found.stored.map(({ resource }) => sample(spec.cluster, agent, resource))),
    );
    return { ...found, checks: [...found.checks, ...atRest] };
  } catch (error) {
    const { message, remedy = 'mend it and start again', retryable } = troubleOf(error);
    return { checks: [failed('cluster', { message, remedy, retryable })], stored: [], known: [] };
  }
}

async function sample(cluster: ClusterSpec, { node, file }: NodeAgent, resource: Resource): Promise<Check> {
  const name = `${resource.name}, opened on ${node}`;
  try {
    return judgeAtRest(name, await agentOf(cluster.name, node).sampleVersions({ cluster, resource, file }));
  } catch (error) {
    const { message, remedy = 'start it again', retryable } = troubleOf(error);
    return judgeAtRest(name, { trouble: { message, remedy, retryable } });
  }
}

/** Whose agents look into values: all of them, where the spec says what they are encrypted by. */
export function agentsOpening({
  apiServers,
  encryptionConfiguration,
}: StorageVersionMigrationSpec['cluster']): NodeAgent[] {
  if (encryptionConfiguration === undefined) return [];
  return apiServers.map((server) => {
    const node = nodeOf(server);
    return { node, file: onNode(encryptionConfiguration.file, node) };
  });
}
