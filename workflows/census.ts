import { continueAsNew } from '@temporalio/workflow';
import { addTally, emptyTally } from '../src/plan/tally.ts';
import { cluster } from './activities.ts';
import type { CensusInput, CensusTally } from './types.ts';
import { startOf, walk } from './walk.ts';

/** Counts objects of the resources by what they are encrypted with, as etcd has them. Changes nothing. */
export async function census(input: CensusInput): Promise<CensusTally> {
  const { resources, from, ...about } = input;
  return await walk({
    resources,
    from: from ?? startOf(emptyTally()),
    chunk: async (resource, cursor) => {
      const { tally, cursor: next } = await cluster.censusChunk({
        ...about,
        resource,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return { part: tally, cursor: next };
    },
    add: addTally,
    objects: (tally) => tally.objects,
    goOn: async (at) => await continueAsNew<typeof census>({ ...input, from: at }),
  });
}
