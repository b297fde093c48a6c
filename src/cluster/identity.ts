import { KeyferryError } from '../errors.ts';
import type { ServerLoad } from '../plan/gauges.ts';
import type { ClusterLook, ServerLook } from '../plan/watch.ts';
import type { ApiServer } from './api-server.ts';
import type { Cluster } from './cluster.ts';
import { loadedConfiguration } from './convergence.ts';
import { hashInMetrics } from './metric-hash.ts';

const LEASES =
  '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=apiserver.kubernetes.io%2Fidentity%3Dkube-apiserver';

/** API servers that aren't listed and are told by name: the state of a migration holds them. */
const MAX_STRANGERS = 10;

/** The Lease by which an API server says that it lives. */
interface IdentityLease {
  name: string;
  hostname: string;
  /** Milliseconds since the epoch. */
  renewedAt: number;
  durationMs: number;
}

/**
 * Looks at every API server of a cluster: which process runs, with which configuration, and whether there are others
 * than those that are listed.
 *
 * A server that doesn't answer is told as silent: it seals nothing either. A Lease counts until it expires (an hour, if
 * not told otherwise), for a process that was only stopped may go on.
 *
 * @param known - identities of listed servers from when they last answered
 * @throws KeyferryError `UnavailableLeases`, retryable, when no API server shows the Leases; `RefusedMetrics`
 */
export async function lookAtServers(cluster: Cluster, known: readonly string[] = []): Promise<ClusterLook> {
  return (await lookClosely(cluster, known)).look;
}

/** A look at all API servers, and how those that answered fare; it was begun at `at`. */
export interface CloseLook {
  look: ClusterLook;
  loads: readonly ServerLoad[];
  /** Milliseconds since the epoch. */
  at: number;
}

async function lookClosely(cluster: Cluster, known: readonly string[]): Promise<CloseLook> {
  const at = Date.now();
  const seen = await Promise.all(cluster.apiServers.map((server) => lookAt(server)));
  const servers = seen.map(({ server }) => server);
  const listed = new Set([...known, ...servers.map(({ identity }) => identity)]);
  const now = Date.now();
  const strangers = (await identityLeases(cluster)).filter(
    (lease) => lease.renewedAt + lease.durationMs > now && !listed.has(identityOf(lease)),
  );
  const named = strangers.map(({ name, hostname }) => `${hostname} (Lease ${name})`).sort();
  const more = named.length - MAX_STRANGERS;
  const strange = more > 0 ? [...named.slice(0, MAX_STRANGERS), `${more} more`] : named;
  return {
    look: { servers, strangers: strange },
    loads: seen.flatMap(({ load }) => load ?? []),
    at,
  };
}

async function lookAt(server: ApiServer): Promise<{ server: ServerLook; load?: ServerLoad }> {
  const { name } = server;
  try {
    const { hash, loaded, keyIdHashes, load } = await loadedConfiguration(server);
    return {
      server: { name, ...loaded, keyIdHashes, ...(hash === undefined ? {} : { hash }) },
      load,
    };
  } catch (error) {
    if (!(error instanceof KeyferryError) || !error.retryable) throw error;
    return { server: { name, silent: error.message } };
  }
}

async function identityLeases(cluster: Cluster): Promise<IdentityLease[]> {
  let last = '';
  for (const server of cluster.apiServers) {
    try {
      const { status, body } = await server.request({ method: 'GET', path: LEASES, timeoutMs: 10_000 });
      if (status === 200) return leasesIn(body);
      last = `${server.name} answered ${status}`;
      if (status === 403) break;
    } catch (error) {
      if (!(error instanceof KeyferryError)) throw error;
      last = error.message;
    }
  }
  throw new KeyferryError('UnavailableLeases', `the Leases of the API servers can't be listed: ${last}`, {
    remedy: "let the kubeconfig's user list leases in kube-system (deploy/rbac.yaml)",
    retryable: true,
  });
}

function leasesIn(body: unknown): IdentityLease[] {
  interface Lease {
    metadata: { name: string; labels?: Record<string, string> };
    spec?: { renewTime?: string; leaseDurationSeconds?: number };
  }
  return (body as { items: Lease[] }).items.map(({ metadata, spec }) => ({
    name: metadata.name,
    hostname: metadata.labels?.['kubernetes.io/hostname'] ?? metadata.name,
    renewedAt: Date.parse(spec?.renewTime ?? ''),
    durationMs: (spec?.leaseDurationSeconds ?? 3600) * 1000,
  }));
}

/** As kube-apiserver shows its identity in the labels of its metrics: by the Lease's name. */
function identityOf(lease: IdentityLease): string {
  return hashInMetrics(lease.name);
}

const looks = new WeakMap<Cluster, { at: number; look: Promise<CloseLook> }>();

/** A look that is younger than so many milliseconds; whoever works on the cluster in this process shares it. */
export async function recentLook(
  cluster: Cluster,
  known: readonly string[],
  maxAgeMs: number,
): Promise<CloseLook> {
  const last = looks.get(cluster);
  if (last !== undefined && Date.now() - last.at < maxAgeMs) return await last.look;
  const look = lookClosely(cluster, known);
  const entry = { at: Date.now(), look };
  looks.set(cluster, entry);
  look.catch(() => {
    if (looks.get(cluster) === entry) looks.delete(cluster);
  });
  return await look;
}
