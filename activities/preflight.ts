import { canary, tryCanary } from '../src/cluster/canary.ts';
import type { Cluster } from '../src/cluster/cluster.ts';
import { loadedConfiguration } from '../src/cluster/convergence.ts';
import { deniedPermissions } from '../src/cluster/permissions.ts';
import { findServed } from '../src/cluster/orphans.ts';
import type { Resource } from '../src/cluster/resources.ts';
import { KeyferryError, messageOf } from '../src/errors.ts';
import type { Check } from '../src/plan/preflight.ts';
import type { PreflightInput, PreflightResult } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function preflightActivities({ clusters }: ClusterDependencies) {
  return {
    /** Looks at the cluster from a worker: every check that needs no agent. Changes nothing. */
    async preflight({ migration, hashes }: PreflightInput): Promise<PreflightResult> {
      const { spec } = migration;
      const cluster = clusters.get(spec.cluster);
      return await beating(async () => {
        const { checks: served, resources } = await resourceChecks(cluster, spec.resources);
        const { checks: canaryChecks, canaries } = await canariesOf(
          cluster,
          resources,
          spec.canary.namespace,
        );
        return {
          checks: [
            ...(await Promise.all(cluster.apiServers.map((server) => reachable(cluster, server.name)))),
            ...(await Promise.all(
              Object.entries(hashes).map(([name, hash]) => takenUp(cluster, name, hash)),
            )),
            ...served,
            await permissions(cluster, resources, spec.canary.namespace),
            ...canaryChecks,
            ...(await etcdChecks(cluster)),
          ],
          resources,
          canaries,
        };
      });
    },
  };
}

/** Turns a thrown KeyferryError into a failed check; anything else is a defect and goes up. */
async function check(name: string, run: () => Promise<Omit<Check, 'name'>>): Promise<Check> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    return { name, outcome: 'fail', detail: error.message, remedy: error.remedy };
  }
}

function serverNamed(cluster: Cluster, name: string) {
  const server = cluster.apiServers.find((one) => one.name === name);
  if (server === undefined) throw new Error(`no API server ${name}`);
  return server;
}

async function reachable(cluster: Cluster, name: string): Promise<Check> {
  return await check(`API server ${name} reachable`, async () => {
    const response = await serverNamed(cluster, name).request({
      method: 'GET',
      path: '/version',
      timeoutMs: 5_000,
    });
    if (response.status !== 200) {
      return {
        outcome: 'fail',
        detail: `answered ${response.status} to /version`,
        remedy: "check the kubeconfig's credentials against this one server",
      };
    }
    return {
      outcome: 'pass',
      detail: (response.body as { gitVersion?: string }).gitVersion ?? 'version unknown',
    };
  });
}

async function takenUp(cluster: Cluster, name: string, hash: string): Promise<Check> {
  return await check(`configuration taken up by ${name}`, async () => {
    const loaded = await loadedConfiguration(serverNamed(cluster, name));
    if (loaded.hash === undefined) {
      return {
        outcome: 'fail',
        detail: `${name} doesn't tell which encryption configuration it has loaded`,
        remedy: 'start it with --encryption-provider-config (Kubernetes 1.34 or newer)',
      };
    }
    if (loaded.hash !== hash) {
      return {
        outcome: 'fail',
        detail: `the file on its node is ${hash.slice(0, 19)}, and it runs ${loaded.hash.slice(0, 19)}`,
        remedy: `let ${name} reload (a minute at most) or restart it; where it never does, its manifest mounts the file instead of its directory, or another file`,
      };
    }
    if (!loaded.kmsReady) {
      return {
        outcome: 'fail',
        detail: `kms providers not ready: ${loaded.kmsDetail}`,
        remedy:
          'mend the plugin first: no API server takes up a changed file while any kms entry is unhealthy',
      };
    }
    return { outcome: 'pass', detail: hash.slice(0, 19) };
  });
}

async function resourceChecks(
  cluster: Cluster,
  names: string[],
): Promise<{ checks: Check[]; resources: Resource[] }> {
  const resources: Resource[] = [];
  const checks: Check[] = [];
  const [server] = cluster.apiServers;
  if (server === undefined) return { checks, resources };
  for (const name of names) {
    checks.push(
      await check(`resource ${name} served`, async () => {
        const resource = await findServed(server, cluster.etcd, name, cluster.spec.etcd.prefix);
        if (resource === undefined) {
          return {
            outcome: 'warn',
            detail: "isn't served, and no key of it lies in etcd: there is nothing to migrate",
            remedy: 'take it off the list, or write it as "kubectl api-resources" shows it',
          };
        }
        resources.push(resource);
        return {
          outcome: 'pass',
          detail: `${resource.apiVersion} ${resource.kind}, in etcd under ${resource.etcdPrefix}`,
        };
      }),
    );
  }
  return { checks, resources };
}

async function permissions(
  cluster: Cluster,
  resources: readonly Resource[],
  namespace: string,
): Promise<Check> {
  return await check('permissions', async () => {
    const [server] = cluster.apiServers;
    const denied = server === undefined ? [] : await deniedPermissions(server, resources, namespace);
    if (denied.length === 0) return { outcome: 'pass', detail: 'all that keyferry needs' };
    return {
      outcome: 'fail',
      detail: `the kubeconfig's user may not ${denied.join(', ')}`,
      remedy: 'apply deploy/rbac.yaml, with the resources that are to be migrated, and bind it to that user',
    };
  });
}

async function canariesOf(
  cluster: Cluster,
  resources: readonly Resource[],
  namespace: string,
): Promise<{ checks: Check[]; canaries: string[] }> {
  const [server] = cluster.apiServers;
  const canaries: string[] = [];
  const refused: string[] = [];
  for (const resource of resources) {
    if (server === undefined) break;
    try {
      const refusal = await tryCanary(server, canary(resource, namespace, 'dry-run', 'dry-run'));
      if (refusal === undefined) canaries.push(resource.name);
      else refused.push(`${resource.name} (${refusal})`);
    } catch (error) {
      refused.push(`${resource.name} (${messageOf(error)})`);
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
            remedy: `let keyferry create objects in ${namespace}, or name another namespace under spec.canary`,
          },
    ],
    canaries,
  };
}

async function etcdChecks(cluster: Cluster): Promise<Check[]> {
  return [
    await check('etcd reachable', async () => {
      const status = await cluster.etcd.status();
      if (status.alarms.length > 0) {
        return {
          outcome: 'fail',
          detail: `alarms: ${status.alarms.join(', ')}`,
          remedy:
            'make room (compact, defragment, raise the quota) and disarm: a rewrite needs about the size of its objects again until compaction',
        };
      }
      const silent = status.members.flatMap((one) =>
        'silent' in one ? [`${one.endpoint}: ${one.silent}`] : [],
      );
      if (silent.length > 0) {
        return {
          outcome: 'warn',
          detail: `${silent.length} of ${status.members.length} members did not answer: ${silent.join('; ')}`,
          remedy: 'bring every member back: the next one that is lost may take etcd with it',
        };
      }
      return {
        outcome: 'pass',
        detail: `etcd ${status.version}, database of ${Math.round(status.dbSize / 1e6)} MB`,
      };
    }),
    await check("etcd is this cluster's", async () => {
      const key = `${cluster.spec.etcd.prefix}/namespaces/kube-system`;
      if ((await cluster.etcd.get(key)) !== undefined) return { outcome: 'pass', detail: `${key} is there` };
      return {
        outcome: 'fail',
        detail: `${key} isn't there`,
        remedy: 'give the endpoints of the etcd behind these API servers, and their --etcd-prefix',
      };
    }),
  ];
}
