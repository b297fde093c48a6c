import { continueAsNew } from '@temporalio/workflow';
import { addVersions, NO_VERSIONS, type VersionTally } from '../src/plan/version-tally.ts';
import { cluster } from './activities.ts';
import type { VersionsInput } from './types.ts';
import { startOf, walk } from './walk.ts';

/** Counts objects of the resources by the version in which they lie in etcd. Changes nothing. */
export async function versions(input: VersionsInput): Promise<VersionTally> {
  const { resources, from, ...about } = input;
  return await walk({
    resources,
    from: from ?? startOf(NO_VERSIONS),
    chunk: async (resource, cursor) => {
      const { tally, cursor: next } = await cluster.versionsChunk({
        ...about,
        resource,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return { part: tally, cursor: next };
    },
    add: addVersions,
    objects: (tally) => tally.objects,
    goOn: async (at) => await continueAsNew<typeof versions>({ ...input, from: at }),
  });
}
