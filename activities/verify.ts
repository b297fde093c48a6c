import { cancellationSignal, CancelledFailure } from '@temporalio/activity';
import { readAllFrom, readObjects } from '../src/census/reads.ts';
import { judgeWaiver } from '../src/census/waivers.ts';
import { waivedValues, type WaiverVerdict } from '../src/plan/waivers.ts';
import type { ReadAllInput, ReadObjectsInput, ReadsResult } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

const CHUNK_MS = 10_000;

export function verifyActivities({ clusters }: ClusterDependencies) {
  return {
    /** Reads named objects through every API server. */
    async readObjects({ cluster, resources, objects }: ReadObjectsInput): Promise<ReadsResult> {
      const { apiServers } = clusters.get(cluster);
      const whole: ReadsResult = { read: 0, failed: 0, failures: [] };
      for (const resource of resources) {
        const own = objects.filter((object) => object.resource === resource.name);
        const part = await beating((tell) =>
          readObjects(apiServers, resource, own, cancellationSignal(), () => tell(undefined)),
        );
        if (part.stopped) throw new CancelledFailure('asked to stop');
        whole.read += part.read;
        whole.failed += part.failed;
        whole.failures.push(...part.failures);
      }
      return whole;
    },

    /** Reads a stretch of all objects of a resource through every API server. */
    async readAllChunk({ cluster, resource, cursor, waived = [] }: ReadAllInput): Promise<ReadsResult> {
      const { apiServers, etcd } = clusters.get(cluster);
      const { cursor: next, ...part } = await beating((tell) =>
        readAllFrom(etcd, apiServers, resource, cursor, {
          timeMs: CHUNK_MS,
          waived: waivedValues(waived),
          signal: cancellationSignal(),
          onProgress: tell,
        }),
      );
      return { ...part, ...(next === undefined ? {} : { cursor: next }) };
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
