import { continueAsNew } from '@temporalio/workflow';
import { addVersions, NO_VERSIONS, type VersionTally } from '../src/plan/version-tally.ts';
import { agentOf, cluster } from './activities.ts';
import type { VersionsInput } from './storage-version-types.ts';
import { startOf, walk } from './walk.ts';

/** Counts objects of the resources by the version in which they lie in etcd. Changes nothing. */
export async function versions(input: VersionsInput): Promise<VersionTally> {
  const { resources, from, openedBy, ...about } = input;
  /** How often another node was turned to. */
  let turn = 0;
  return await walk({
    resources,
    from: from ?? startOf(NO_VERSIONS),
    chunk: async (resource, cursor) => {
      const chunk = { ...about, resource, ...(cursor === undefined ? {} : { cursor }) };
      const at = openedBy?.[turn % openedBy.length];
      try {
        const { tally, cursor: next } = await (at === undefined
          ? cluster.versionsChunk(chunk)
          : agentOf(about.cluster.name, at.node).openVersionsChunk({ ...chunk, file: at.file }));
        return { part: tally, cursor: next };
      } catch (error) {
        // An agent that is away, or a node that doesn't reach its plugin: another may.
        turn += 1;
        throw error;
      }
    },
    add: addVersions,
    objects: (tally) => tally.objects,
    goOn: async (at) => await continueAsNew<typeof versions>({ ...input, from: at }),
  });
}
