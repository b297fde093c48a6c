import type { Cluster } from '../src/cluster/cluster.ts';
import { endOfPrefix } from '../src/cluster/etcd.ts';
import { lookAtServers } from '../src/cluster/identity.ts';
import { chainFor, readConfigurationFile, refuseKmsV1Writer } from '../src/encryption-config/index.ts';
import { KeyferryError } from '../src/errors.ts';
import type { EtcdEngineFindings } from '../src/plan/preflight-engine.ts';
import type { Asked } from '../src/plan/preflight.ts';
import type { ChunkResult } from '../src/rewrite/engine.ts';
import { EtcdEngine } from '../src/rewrite/etcd.ts';
import { sealingOnlyUnder } from '../src/rewrite/proven-key.ts';
import { opens } from '../src/rewrite/reseal.ts';
import type { EtcdChunkInput, TryEtcdEngineInput } from '../workflows/types.ts';
import { asked } from './asked.ts';
import { beating } from './beating.ts';
import type { AgentDependencies } from './dependencies.ts';
import { rewriteChunkBy } from './rewrite-chunk.ts';
import { whileInUse } from './while-in-use.ts';

/** Objects of each resource that a node is tried with. */
const SAMPLE = 20;

/** What an agent does for the engine `Etcd`: keys are read from the node's own file, and stay in this process. */
export function etcdEngineActivities({ node, clusters, plugins }: AgentDependencies) {
  const kept = whileInUse(plugins);

  return {
    /** Rewrites a stretch of a shard in etcd, by the keys and plugins that this node's API server uses. */
    rewriteChunk: ({ configuration, sealing, ...input }: EtcdChunkInput): Promise<ChunkResult> =>
      kept(async () => {
        const { file, hash } = configuration;
        const { name } = input.resource;
        const present = await readConfigurationFile(file);
        if (present.hash !== hash) {
          throw new KeyferryError(
            'EncryptionConfigurationChanged',
            `${file} on ${node} (${present.hash.slice(0, 19)}) isn't what its API server was proven to run`,
            { remedy: 'put back what was there', retryable: true },
          );
        }
        refuseKmsV1Writer(present.text, name);
        const cluster = clusters.get(input.cluster);
        const chain = chainFor(present.text, name, sealingOnlyUnder(sealing, plugins));
        return await rewriteChunkBy(new EtcdEngine(cluster, input.fence, chain), cluster, input);
      }),

    /** Whether this node could: it reaches etcd and the API servers, and opens a sample of each resource. */
    tryEtcdEngine: (input: TryEtcdEngineInput): Promise<Asked<EtcdEngineFindings>> =>
      kept(() => beating(() => asked(() => tried(input)))),
  };

  async function tried(input: TryEtcdEngineInput): Promise<EtcdEngineFindings> {
    const cluster = clusters.get(input.cluster);
    const { servers } = await lookAtServers(cluster);
    const silent = servers.flatMap((server) => (server.silent === undefined ? [] : [server.name]));
    const { text } = await readConfigurationFile(input.file);
    const findings: EtcdEngineFindings = { silent, tried: 0, unopened: 0 };
    for (const { name, etcdPrefix } of input.resources) {
      refuseKmsV1Writer(text, name);
      const chain = chainFor(text, name, plugins);
      for (const { key, value } of await sampleOf(cluster, etcdPrefix)) {
        findings.tried += 1;
        if (!(await opens(chain, value, Buffer.from(key)))) findings.unopened += 1;
      }
    }
    return findings;
  }
}

async function sampleOf({ etcd }: Cluster, prefix: string) {
  return (await etcd.range({ start: prefix, end: endOfPrefix(prefix), limit: SAMPLE })).entries;
}
