import { createHash } from 'node:crypto';
import type { ClusterSpec } from '../spec/migration.ts';
import { apiServersOf, type ApiRequest, type ApiResponse, type ApiServer } from './api-server.ts';
import { EtcdClient } from './etcd.ts';
import { KeyferryError } from '../errors.ts';

/** The clients of one control plane: each API server by itself, and etcd. */
export interface Cluster {
  readonly spec: ClusterSpec;
  readonly apiServers: readonly ApiServer[];
  readonly etcd: EtcdClient;
}

/** Opens clients for a cluster, once per specification: activities come and go, connections stay. */
export class Clusters {
  readonly #open = new Map<string, Cluster>();

  get(spec: ClusterSpec): Cluster {
    const id = createHash('sha256').update(JSON.stringify(spec)).digest('hex');
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    const cluster = { spec, apiServers: apiServersOf(spec), etcd: new EtcdClient(spec.etcd) };
    this.#open.set(id, cluster);
    return cluster;
  }

  async close(): Promise<void> {
    for (const cluster of this.#open.values()) {
      cluster.etcd.close();
      await Promise.all(cluster.apiServers.map((server) => server.close()));
    }
    this.#open.clear();
  }
}

/** @throws KeyferryError `NotFoundApiServer` */
export function apiServerNamed(cluster: Cluster, name: string): ApiServer {
  const found = cluster.apiServers.find((server) => server.name === name);
  if (found !== undefined) return found;
  throw new KeyferryError('NotFoundApiServer', `no API server is called "${name}"`, {
    remedy: `known are ${cluster.apiServers.map((server) => server.name).join(', ')}`,
  });
}

/** What one API server of several answered. */
export interface Answer extends ApiResponse {
  /** Its name. */
  server: string;
}

/**
 * Asks one API server after another until one answers, whatever it says.
 *
 * @throws KeyferryError `UnreachableApiServer`, `StartingApiServer`, retryable, when none does
 */
export async function askAny(cluster: Cluster, request: ApiRequest): Promise<Answer> {
  let last: unknown;
  for (const server of cluster.apiServers) {
    try {
      return { ...(await server.request({ timeoutMs: 10_000, ...request })), server: server.name };
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/**
 * The uid of kube-system: what tells one cluster from another for its whole life.
 *
 * @throws KeyferryError `UnavailableCluster` when no API server lets us see it
 */
export async function clusterUid(cluster: Cluster): Promise<string> {
  let last = '';
  for (const server of cluster.apiServers) {
    try {
      const response = await server.request({
        method: 'GET',
        path: '/api/v1/namespaces/kube-system',
        timeoutMs: 5_000,
      });
      const uid = (response.body as { metadata?: { uid?: string } } | undefined)?.metadata?.uid;
      if (response.status === 200 && uid !== undefined) return uid;
      last = `${server.name} answered ${response.status}`;
    } catch (error) {
      if (!(error instanceof KeyferryError)) throw error;
      last = error.message;
    }
  }
  throw new KeyferryError('UnavailableCluster', `the cluster can't be identified: ${last}`, {
    remedy:
      'check the addresses and the credentials of the kubeconfig; its user must be able to get namespaces',
    retryable: true,
  });
}
