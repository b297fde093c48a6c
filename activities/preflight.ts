import { cancellationSignal } from '@temporalio/activity';
import { quickCount, readSample } from '../src/census/survey.ts';
import { activeNamespaces, admissionHooks } from '../src/cluster/admission.ts';
import type { ApiServer } from '../src/cluster/api-server.ts';
import { canary, tryCanary } from '../src/cluster/canary.ts';
import type { Cluster } from '../src/cluster/cluster.ts';
import { conversionOf } from '../src/cluster/conversion.ts';
import { loadedConfiguration } from '../src/cluster/convergence.ts';
import type { EtcdStatus } from '../src/cluster/etcd.ts';
import { etcdMetrics, type EtcdMetrics } from '../src/cluster/etcd-metrics.ts';
import { holderOf } from '../src/cluster/fence.ts';
import { lookAtServers } from '../src/cluster/identity.ts';
import { deniedPermissions, neededPermissions, type Permission } from '../src/cluster/permissions.ts';
import { findServed } from '../src/cluster/orphans.ts';
import type { Resource } from '../src/cluster/resources.ts';
import { versionOf } from '../src/cluster/versions.ts';
import { compileNames } from '../src/envelope/header.ts';
import { KeyferryError, messageOf } from '../src/errors.ts';
import { judged, type Asked, type Check } from '../src/plan/preflight.ts';
import {
  judgeAdmission,
  judgeConversion,
  judgeReads,
  judgeTargetName,
} from '../src/plan/preflight-objects.ts';
import { judgeRoom } from '../src/plan/preflight-room.ts';
import {
  judgeClocks,
  judgeEtcd,
  judgeEtcdVersion,
  judgeHolder,
  judgeServers,
  judgeStrangers,
  type ServerFindings,
} from '../src/plan/preflight-servers.ts';
import { nodeFile, sourceOf, targetOf } from '../src/plan/sides.ts';
import { probeAdmission } from '../src/rewrite/probe-admission.ts';
import type { MigrationSpec } from '../src/spec/migration.ts';
import type { PreflightInput, PreflightResult } from '../workflows/types.ts';
import { asked } from './asked.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { nativeChecks } from './native-checks.ts';

/** Milliseconds for counting all objects (about a million of 1 kB are counted in a quarter of it), and for reading a sample. */
const COUNT_MS = 60_000;

type Servers = readonly [ApiServer, ...ApiServer[]];

export function preflightActivities({ clusters }: ClusterDependencies) {
  return {
    /**
     * Looks at the cluster from a worker: every check that needs no agent. Changes nothing but for objects of its own
     * that it creates and deletes again where webhooks are asked about updates.
     */
    async preflight({
      migration,
      hashes,
      names = [],
      rotateTo,
      sealBytes = {},
    }: PreflightInput): Promise<PreflightResult> {
      const { spec } = migration;
      const target = targetOf(spec, rotateTo === undefined ? undefined : { target: rotateTo });
      const cluster = clusters.get(spec.cluster);
      return await beating(async () => {
        const servers = await Promise.all(
          cluster.apiServers.map((server) => findingsOf(server, spec, hashes[server.name])),
        );
        const { takeUp } = spec.cluster.encryptionConfiguration;
        const checks = judgeServers(servers, takeUp);
        const answering = cluster.apiServers.filter((_, i) => 'answer' in (servers[i]?.version ?? {}));
        const status = await asked(() => cluster.etcd.status());
        const etcd = await etcdChecks(cluster, status);
        const metrics = await etcdMetrics(spec.cluster.etcd);
        const [first, ...others] = answering;
        if (first === undefined) return { checks: [...checks, ...etcd], resources: [], canaries: [] };

        const served = await resourceChecks(first, cluster, spec.resources);
        const { resources } = served;
        const { checks: canaryChecks, canaries } = await canariesOf(first, resources, spec.canary.namespace);
        checks.push(
          judgeStrangers(await asked(() => lookAtServers(cluster))),
          judgeHolder(await asked(() => holderOf(cluster))),
          judgeClocks(clocksOf(servers, metrics)),
          ...served.checks,
          await permissions(first, neededPermissions(resources, spec.canary.namespace, spec.engine)),
          ...(spec.engine === 'StorageVersionMigration' ? await nativeChecks(cluster) : []),
          ...canaryChecks,
          ...etcd,
        );
        // What follows asks etcd for objects.
        if (resources.length > 0 && etcd.every(({ outcome }) => outcome !== 'fail')) {
          const configured = compileNames(names);
          const signal = cancellationSignal();
          const counted = await asked(() =>
            quickCount(cluster.etcd, resources, target, configured, {
              source: sourceOf(spec),
              sealBytes,
              timeMs: COUNT_MS,
              signal,
            }),
          );
          const reads =
            'trouble' in counted
              ? counted
              : await asked(() =>
                  readSample(cluster.etcd, answering, counted.answer, configured, {
                    sampleSize: spec.verify.sampleSize,
                    timeMs: COUNT_MS,
                    signal,
                  }),
                );
          checks.push(
            judgeReads(reads, takeUp),
            ...[judgeTargetName(counted, reads, target)].filter(isCheck),
            judgeRoom(
              counted,
              'answer' in status ? status.answer.members : [],
              metrics,
              spec.pace.objectsPerSecond,
            ),
            ...(await conversions(first, cluster, resources)),
            // The engine Etcd asks no API server to admit anything.
            ...(spec.engine === 'Etcd' ? [] : await admission([first, ...others], cluster, resources)),
          );
        }
        return { checks, resources, canaries };
      });
    },
  };
}

function isCheck(check: Check | undefined): check is Check {
  return check !== undefined;
}

async function findingsOf(
  server: ApiServer,
  spec: MigrationSpec,
  fileHash: string | undefined,
): Promise<ServerFindings> {
  const { name, node } = server;
  const version = await asked(() => versionOf(server));
  return {
    name,
    node,
    file: nodeFile(spec, node).file,
    ...(fileHash === undefined ? {} : { fileHash }),
    version,
    // One that doesn't answer is asked once.
    loaded: 'trouble' in version ? version : await asked(() => loadedConfiguration(server)),
  };
}

function clocksOf(
  servers: readonly ServerFindings[],
  members: readonly EtcdMetrics[],
): { name: string; aheadMs: number }[] {
  return [
    ...servers.flatMap(({ name, version }) =>
      'answer' in version ? [{ name, aheadMs: version.answer.aheadMs }] : [],
    ),
    ...members.flatMap(({ endpoint, aheadMs }) =>
      aheadMs === undefined ? [] : [{ name: `etcd at ${endpoint}`, aheadMs }],
    ),
  ];
}

async function resourceChecks(
  server: ApiServer,
  cluster: Cluster,
  names: readonly string[],
): Promise<{ checks: Check[]; resources: Resource[] }> {
  const resources: Resource[] = [];
  const checks: Check[] = [];
  for (const name of names) {
    const found = await asked(() => findServed(server, cluster.etcd, name, cluster.spec.etcd.prefix));
    if ('answer' in found && found.answer !== undefined) resources.push(found.answer);
    checks.push(
      judged(`resource ${name} served`, found, (resource) =>
        resource === undefined
          ? {
              outcome: 'warn',
              detail: "isn't served, and no key of it lies in etcd: there is nothing to migrate",
              remedy: 'take it off the list, or write it as "kubectl api-resources" shows it',
            }
          : {
              outcome: 'pass',
              detail: `${resource.apiVersion} ${resource.kind}, in etcd under ${resource.etcdPrefix}`,
            },
      ),
    );
  }
  return { checks, resources };
}

export async function permissions(server: ApiServer, needs: readonly Permission[]): Promise<Check> {
  return judged('permissions', await asked(() => deniedPermissions(server, needs)), (denied) =>
    denied.length === 0
      ? { outcome: 'pass', detail: 'all that keyferry needs' }
      : {
          outcome: 'fail',
          detail: `the kubeconfig's user may not ${denied.join(', ')}`,
          remedy:
            'apply deploy/rbac.yaml, with the resources that are to be migrated, and bind it to that user',
        },
  );
}

async function canariesOf(
  server: ApiServer,
  resources: readonly Resource[],
  namespace: string,
): Promise<{ checks: Check[]; canaries: string[] }> {
  const canaries: string[] = [];
  const refused: string[] = [];
  let passing = false;
  for (const resource of resources) {
    try {
      const refusal = await tryCanary(server, canary(resource, namespace, 'dry-run', 'dry-run'));
      if (refusal === undefined) canaries.push(resource.name);
      else refused.push(`${resource.name} (${refusal})`);
    } catch (error) {
      refused.push(`${resource.name} (${messageOf(error)})`);
      passing ||= error instanceof KeyferryError && error.retryable;
    }
  }
  if (refused.length === 0)
    return { checks: [{ name: 'canaries', outcome: 'pass', detail: canaries.join(', ') }], canaries };
  const detail = `no canary can be made of ${refused.join(', ')}`;
  return {
    checks: [
      canaries.length > 0
        ? { name: 'canaries', outcome: 'warn', detail, remedy: `${canaries.join(', ')} stand for them` }
        : {
            name: 'canaries',
            outcome: 'fail',
            detail,
            ...(passing ? { passing } : {}),
            remedy: `let keyferry create objects in ${namespace}, or name another namespace under spec.canary`,
          },
    ],
    canaries,
  };
}

export async function etcdChecks(cluster: Cluster, status: Asked<EtcdStatus>): Promise<Check[]> {
  const key = `${cluster.spec.etcd.prefix}/namespaces/kube-system`;
  return [
    judged('etcd reachable', status, judgeEtcd),
    ...('answer' in status ? [judged('version of etcd', status, judgeEtcdVersion)] : []),
    judged("etcd is this cluster's", await asked(() => cluster.etcd.get(key)), (entry) =>
      entry !== undefined
        ? { outcome: 'pass', detail: `${key} is there` }
        : {
            outcome: 'fail',
            detail: `${key} isn't there`,
            remedy: 'give the endpoints of the etcd behind these API servers, and their --etcd-prefix',
          },
    ),
  ];
}

async function conversions(
  server: ApiServer,
  cluster: Cluster,
  resources: readonly Resource[],
): Promise<Check[]> {
  const checks = await Promise.all(
    resources.map(async (resource) =>
      judgeConversion(resource.name, await asked(() => conversionOf(server, cluster.etcd, resource))),
    ),
  );
  return checks.filter(isCheck);
}

async function admission(
  servers: Servers,
  cluster: Cluster,
  resources: readonly Resource[],
): Promise<Check[]> {
  const around = await asked(async () => ({
    hooks: await admissionHooks(servers[0]),
    namespaces: await activeNamespaces(servers[0]),
  }));
  const checks: Check[] = [];
  for (const resource of resources) {
    const found =
      'trouble' in around
        ? around
        : await asked(() =>
            probeAdmission(servers, cluster.etcd, resource, around.answer.hooks, around.answer.namespaces),
          );
    checks.push(judgeAdmission(resource.name, found));
  }
  return checks;
}
