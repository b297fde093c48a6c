import { cancellationSignal } from '@temporalio/activity';
import { apiVersionAtRest } from '../src/census/at-rest.ts';
import { countVersions, type Opener } from '../src/census/versions.ts';
import { endOfPrefix } from '../src/cluster/etcd.ts';
import { chainFor, readConfigurationFile } from '../src/encryption-config/index.ts';
import { EnvelopeError } from '../src/envelope/errors.ts';
import { KeyferryError } from '../src/errors.ts';
import type { Asked } from '../src/plan/preflight.ts';
import { UNTOLD } from '../src/plan/version-tally.ts';
import type {
  OpenedVersionsChunkInput,
  SampleVersionsInput,
  VersionsChunkResult,
} from '../workflows/storage-version-types.ts';
import { asked } from './asked.ts';
import { beating } from './beating.ts';
import type { AgentDependencies } from './dependencies.ts';
import { whileInUse } from './while-in-use.ts';

/** Milliseconds of one chunk of a census. */
const CHUNK_MS = 10_000;
/** Objects of each resource that a node is tried with. */
const SAMPLE = 20;

/** What an agent does where versions lie under encryption: keys are read from the node's own file, and stay in this process. */
export function agentVersionActivities({ clusters, plugins }: AgentDependencies) {
  const kept = whileInUse(plugins);

  /** What no provider opens is counted as it lies: sealed. */
  async function openerFor(file: string, resource: string): Promise<Opener> {
    const { text } = await readConfigurationFile(file);
    const chain = chainFor(text, resource, plugins);
    return async ({ key, value }) => {
      try {
        return (await chain.open(value, Buffer.from(key))).plaintext;
      } catch (error) {
        const refused = error instanceof KeyferryError && error.code === 'PluginRefused';
        if (error instanceof EnvelopeError || refused) return value;
        throw error;
      }
    };
  }

  return {
    /** As `versionsChunk`, of values that this node's API server opens. */
    openVersionsChunk: ({ cluster, resource, cursor, sinceRevision, file }: OpenedVersionsChunkInput) =>
      kept(async (): Promise<VersionsChunkResult> => {
        const open = await openerFor(file, resource.name);
        const part = await beating((tell) =>
          countVersions(clusters.get(cluster).etcd, resource, cursor, {
            timeMs: CHUNK_MS,
            ...(sinceRevision === undefined ? {} : { sinceRevision }),
            open,
            signal: cancellationSignal(),
            onProgress: tell,
          }),
        );
        return { tally: part.tally, ...(part.cursor === undefined ? {} : { cursor: part.cursor }) };
      }),

    /** Of how many values of a sample this node can tell the version. */
    sampleVersions: ({ cluster, resource, file }: SampleVersionsInput) =>
      kept(() =>
        beating((): Promise<Asked<{ values: number; sealed: number }>> =>
          asked(async () => {
            const open = await openerFor(file, resource.name);
            const { etcdPrefix: start } = resource;
            const { etcd } = clusters.get(cluster);
            const { entries } = await etcd.range({ start, end: endOfPrefix(start), limit: SAMPLE });
            const versions = await Promise.all(
              entries.map(async (entry) => {
                const plaintext = await open(entry);
                const version = apiVersionAtRest(plaintext);
                plaintext.fill(0);
                return version;
              }),
            );
            const sealed = versions.filter((version) => version === UNTOLD.sealed).length;
            return { values: versions.length, sealed };
          }),
        ),
      ),
  };
}
