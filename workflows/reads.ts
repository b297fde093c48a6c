import { continueAsNew } from '@temporalio/workflow';
import { addReads, NO_READS } from '../src/plan/tally.ts';
import { cluster } from './activities.ts';
import type { ReadsInput, ReadsResult } from './types.ts';
import { startOf, walk } from './walk.ts';

/** Reads objects of the resources, all or at even distances, through every API server. Changes nothing. */
export async function reads(input: ReadsInput): Promise<ReadsResult> {
  const { resources, from, ...about } = input;
  return await walk({
    resources,
    from: from ?? startOf(NO_READS),
    chunk: async (resource, cursor) => {
      const { cursor: next, ...part } = await cluster.readChunk({
        ...about,
        resource,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return { part, cursor: next };
    },
    add: addReads,
    objects: (whole) => whole.read,
    goOn: async (at) => await continueAsNew<typeof reads>({ ...input, from: at }),
  });
}
