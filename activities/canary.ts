import { cancellationSignal } from '@temporalio/activity';
import {
  canary,
  canaryKey,
  deleteCanary,
  putCanary,
  readCanary,
  takeCanary,
  writeCanary,
  type Canary,
} from '../src/cluster/canary.ts';
import type { Cluster } from '../src/cluster/cluster.ts';
import type { ApiServer } from '../src/cluster/api-server.ts';
import { hashInMetrics } from '../src/cluster/metric-hash.ts';
import { KeyferryError } from '../src/errors.ts';
import { compileNames, parseHeader, type CompiledNames } from '../src/envelope/header.ts';
import { isOutside } from '../src/envelope/staleness.ts';
import type { EnvelopeHeader } from '../src/envelope/types.ts';
import type { Proof, ProveReadingInput, ProveWritingInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

export function canaryActivities({ clusters }: ClusterDependencies) {
  return {
    /** Puts sealed canaries into etcd, reads each through every API server, and takes them away again. */
    async proveReading(input: ProveReadingInput): Promise<Proof> {
      const cluster = clusters.get(input.cluster);
      const canaries = input.canaries.map((one) => ({
        one: canary(one.resource, input.namespace, one.purpose, one.nonce),
        value: Buffer.from(one.value, 'base64'),
      }));
      return await explained(async () => {
        try {
          for (const { one, value } of canaries) await putCanary(cluster, input.fence, one, value);
          const read = cluster.apiServers.flatMap((server) =>
            canaries.map(({ one }) => readCanary(server, one)),
          );
          const why = (await Promise.all(read)).find((trouble) => trouble !== undefined);
          return why === undefined ? { proven: true, keyIds: [] } : { proven: false, why };
        } finally {
          for (const { one } of canaries) await takeCanary(cluster, input.fence, one);
        }
      });
    },

    /** Writes a canary of each resource through every API server, and looks in etcd at what it was sealed with. */
    async proveWriting(input: ProveWritingInput): Promise<Proof> {
      const cluster = clusters.get(input.cluster);
      const names = compileNames(input.names);
      const keyIds = new Set<string>();
      return await explained(async () => {
        for (const server of cluster.apiServers) {
          for (const resource of input.resources) {
            cancellationSignal().throwIfAborted();
            const one = canary(resource, input.namespace, `write-${server.name}`, input.nonce);
            await writeCanary(server, one);
            const landed = await landing(cluster, server, one, input, names);
            await deleteCanary(server, one);
            if ('why' in landed) return { proven: false, why: landed.why };
            if (landed.keyId !== undefined) keyIds.add(landed.keyId);
          }
        }
        if (keyIds.size <= 1) {
          return { proven: true, keyIds: [...keyIds], keyIdHashes: [...keyIds].map(hashInMetrics) };
        }
        return { proven: false, why: `API servers seal with different key ids: ${[...keyIds].join(', ')}` };
      });
    },
  };
}

async function landing(
  cluster: Cluster,
  server: ApiServer,
  one: Canary,
  input: ProveWritingInput,
  names: CompiledNames,
): Promise<{ keyId: string | undefined } | { why: string }> {
  const entry = await cluster.etcd.get(canaryKey(one));
  if (entry === undefined)
    return { why: `the canary written through ${server.name} isn't in etcd at ${canaryKey(one)}` };
  const header = parseHeader(entry.value, names);
  if (isOutside(header, input.expected)) {
    return { why: `a canary written through ${server.name} landed under ${textOf(header)}` };
  }
  return { keyId: header.provider === 'kms' && header.version === 'v2' ? header.keyId : undefined };
}

function textOf(header: EnvelopeHeader): string {
  if (header.provider !== 'kms') return header.provider;
  return header.version === 'v1' ? `kms ${header.name}` : `kms ${header.name}, key id ${header.keyId}`;
}

/** A server that doesn't answer is a reason to wait, not to fail. */
async function explained(run: () => Promise<Proof>): Promise<Proof> {
  try {
    return await beating(run);
  } catch (error) {
    if (error instanceof KeyferryError && error.retryable) return { proven: false, why: error.message };
    throw error;
  }
}
