import { sleep } from '@temporalio/workflow';
import {
  bounded,
  failed,
  judgeNodes,
  passed,
  type Check,
  type NodeFindings,
  type SilentNode,
} from '../src/plan/preflight.ts';
import { namesMet } from '../src/plan/names.ts';
import { judgeEtcdEngine, WATCHERS_CHECK } from '../src/plan/preflight-engine.ts';
import { rotationChecks, rotationOf } from '../src/plan/preflight-rotation.ts';
import { isRotation, type Rotation } from '../src/plan/rotation.ts';
import { sealBytesOf } from '../src/plan/seal-bytes.ts';
import { nodeFile, nodeOf, targetOf } from '../src/plan/sides.ts';
import type { Arrangement } from '../src/plan/arrangement.ts';
import type { Migration } from '../src/spec/migration.ts';
import { agentOf, cluster } from './activities.ts';
import { troubleOf } from './failures.ts';
import type { PreflightInput, PreflightResult, Resource } from './types.ts';
import type { ConfiguredName } from '../src/envelope/types.ts';

export interface PreflightReport extends Omit<PreflightResult, 'checks'> {
  checks: Check[];
  passed: boolean;
  /** The hash of each API server's file in each arrangement. */
  hashes: Record<string, Record<Arrangement, string>>;
  /** Names that stand in the files, so that headers are read exactly. */
  names: ConfiguredName[];
  rotation?: Rotation;
}

/** Runs every check of a migration, and changes nothing. */
export async function preflight(migration: Migration): Promise<PreflightReport> {
  const { cluster } = migration.spec;
  const nodes = await Promise.all(cluster.apiServers.map((server) => inspect(migration, nodeOf(server))));
  const hashes: Record<string, Record<Arrangement, string>> = {};
  const present: Record<string, string> = {};
  nodes.forEach((node, i) => {
    const server = cluster.apiServers[i];
    if (server === undefined || 'silent' in node) return;
    if (node.hash !== undefined) present[server.name] = node.hash;
    if (node.hashes !== undefined) hashes[server.name] = node.hashes;
  });
  const providers = nodes.flatMap((node) =>
    'silent' in node ? [] : node.providers.flatMap((one) => one.providers),
  );
  const names = namesMet(providers, targetOf(migration.spec));
  const found = nodes.filter((node): node is NodeFindings => !('silent' in node));
  const rotation = rotationOf(found);
  const seen = await seenFromWorker({
    migration,
    hashes: present,
    names,
    sealBytes: sealBytesOf(found),
    ...(rotation === undefined ? {} : { rotateTo: rotation.target }),
  });
  // A rotation leaves the files as they are: no API server is restarted for one.
  const { takeUp } = cluster.encryptionConfiguration;
  const checks = bounded([
    ...judgeNodes(nodes, isRotation(migration.spec) ? 'Reload' : takeUp),
    ...rotationChecks(found),
    ...seen.checks,
    ...(await engineChecks(migration, seen.resources)),
  ]);
  return {
    ...seen,
    checks,
    passed: passed(checks),
    hashes,
    names,
    ...(rotation === undefined ? {} : { rotation }),
  };
}

async function inspect(migration: Migration, node: string): Promise<NodeFindings | SilentNode> {
  try {
    return await agentOf(migration.spec.cluster.name, node).inspectNode(nodeFile(migration.spec, node));
  } catch (error) {
    return { node, silent: troubleOf(error).message };
  }
}

/** Of the engine `Etcd` alone: whether each node could rewrite. */
async function engineChecks({ spec }: Migration, resources: Resource[]): Promise<Check[]> {
  if (spec.engine !== 'Etcd') return [];
  const { cluster } = spec;
  const nodes = await Promise.all(
    cluster.apiServers.map(async (server): Promise<Check> => {
      const node = nodeOf(server);
      const { file } = nodeFile(spec, node);
      try {
        const found = await agentOf(cluster.name, node).tryEtcdEngine({ cluster, file, resources });
        return judgeEtcdEngine(node, found);
      } catch (error) {
        const { message, remedy = 'start it again', retryable } = troubleOf(error);
        return judgeEtcdEngine(node, { trouble: { message, remedy, retryable } });
      }
    }),
  );
  return [...nodes, WATCHERS_CHECK];
}

async function seenFromWorker(input: PreflightInput): Promise<PreflightResult> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await cluster.preflight(input);
    } catch (error) {
      const { message, remedy = 'mend it and start again', retryable } = troubleOf(error);
      if (!retryable || attempt >= 3) {
        return {
          checks: [failed('cluster', { message, remedy, retryable })],
          resources: [],
          canaries: [],
        };
      }
      await sleep('5s');
    }
  }
}
