import { cancellationSignal, CancelledFailure } from '@temporalio/activity';
import { readFrom, readObjects } from '../src/census/reads.ts';
import { judgeWaiver } from '../src/census/waivers.ts';
import { addReads, NO_READS } from '../src/plan/tally.ts';
import { waivedValues, type WaiverVerdict } from '../src/plan/waivers.ts';
import type { ReadChunkInput, ReadChunkResult, ReadObjectsInput, ReadsResult } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

const CHUNK_MS = 10_000;

export function verifyActivities({ clusters }: ClusterDependencies) {
  return {
    /** Reads named objects through every API server. */
    async readObjects({ cluster, resources, objects }: ReadObjectsInput): Promise<ReadsResult> {
      const { apiServers } = clusters.get(cluster);
      let whole: ReadsResult = NO_READS;
      for (const resource of resources) {
        const own = objects.filter((object) => object.resource === resource.name);
        const { stopped, ...part } = await beating((tell) =>
          readObjects(apiServers, resource, own, cancellationSignal(), () => tell(undefined)),
        );
        if (stopped) throw new CancelledFailure('asked to stop');
        whole = addReads(whole, part);
      }
      return whole;
    },

    /** Reads one of so many of a stretch of a resource's objects through every API server. */
    async readChunk({
      cluster,
      resource,
      cursor,
      every,
      waived = [],
    }: ReadChunkInput): Promise<ReadChunkResult> {
      const { apiServers, etcd } = clusters.get(cluster);
      const part = await beating((tell) =>
        readFrom(etcd, apiServers, resource, cursor, {
          every,
          timeMs: CHUNK_MS,
          waived: waivedValues(waived),
          signal: cancellationSignal(),
          onProgress: () => tell(undefined),
        }),
      );
      return { ...part.tally, ...(part.cursor === undefined ? {} : { cursor: part.cursor }) };
    },

    /** Asks every API server whether it can read what was waived; answers in the order asked. */
    async checkWaivers({ cluster, resources, objects }: ReadObjectsInput): Promise<WaiverVerdict[]> {
      const asked = clusters.get(cluster);
      return await beating(async (tell) => {
        const verdicts: WaiverVerdict[] = [];
        for (const object of objects) {
          if (cancellationSignal().aborted) throw new CancelledFailure('asked to stop');
          const resource = resources.find((one) => one.name === object.resource);
          if (resource === undefined) throw new Error(`${object.resource} isn't among the resources`);
          verdicts.push(await judgeWaiver(asked, resource, object));
          tell(undefined);
        }
        return verdicts;
      });
    },
  };
}
