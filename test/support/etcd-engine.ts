import type { ITxnRequest } from 'etcd3';
import type { Cluster } from '../../src/cluster/cluster.ts';
import { endOfPrefix, type EtcdClient } from '../../src/cluster/etcd.ts';
import type { Resource } from '../../src/cluster/resources.ts';
import type { EnvelopeChain } from '../../src/envelope/chain.ts';
import { chunkOptions } from '../../src/rewrite/chunk-options.test-helper.ts';
import { type ChunkLimits, type ChunkOptions, type ChunkResult } from '../../src/rewrite/engine.ts';
import { EtcdEngine } from '../../src/rewrite/etcd.ts';

export const FENCE = { holder: 'one-11111111', epoch: 3 };
export const FENCE_KEY = '/registry/keyferry.dev/fence';
/** What lies under {@link FENCE_KEY} while the fence stands. */
export const FENCE_VALUE = Buffer.from(`${FENCE.epoch} ${FENCE.holder}`);

export interface NamedResource extends Resource {
  /** The key of one of its objects in the namespace `default`. */
  readonly key: (name: string) => string;
}

/** Each test has a resource of its own: what one leaves in etcd isn't another's. */
export function resourceNamed(name: string): NamedResource {
  const etcdPrefix = `/registry/${name}/`;
  return {
    name,
    etcdPrefix,
    namespaced: true,
    key: (one: string) => `${etcdPrefix}default/${one}`,
  } as NamedResource;
}

/** Sends a transaction, instead of the client. */
export type Txn = (request: ITxnRequest, send: EtcdClient['txn']) => ReturnType<EtcdClient['txn']>;

export interface ChunkOfAll {
  txn?: Txn;
  options?: Partial<ChunkOptions>;
  limits?: Partial<ChunkLimits>;
  /** Where it begins; at the beginning unless given. */
  start?: string;
  /** Where it ends; at the end unless given. */
  end?: string;
}

/** One chunk of the engine Etcd over all objects of a resource, in an etcd without API servers. */
export async function rewriteChunk(
  client: EtcdClient,
  chain: EnvelopeChain,
  resource: Resource,
  { txn = (request, send) => send(request), options, limits, start, end }: ChunkOfAll = {},
): Promise<ChunkResult> {
  const cluster = {
    spec: { etcd: { prefix: '/registry' } },
    apiServers: [],
    etcd: {
      range: (query: Parameters<EtcdClient['range']>[0]) => client.range(query),
      get: (key: string) => client.get(key),
      count: (from: string, to: string) => client.count(from, to),
      txn: (request: ITxnRequest) => txn(request, (one) => client.txn(one)),
    },
  } as unknown as Cluster;
  return await new EtcdEngine(cluster, FENCE, chain).rewriteChunk(
    resource,
    { start: start ?? resource.etcdPrefix, end: end ?? endOfPrefix(resource.etcdPrefix) },
    { timeMs: 60_000, objects: 10_000, concurrency: 4, objectsPerSecond: 0, ...limits },
    chunkOptions(options),
  );
}
