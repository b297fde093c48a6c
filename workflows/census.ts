import { CancellationScope, CancelledFailure } from '@temporalio/workflow';
import type { CensusInput, CensusTally } from './types.ts';
import { cluster } from './activities.ts';
import { addTally, emptyTally } from '../src/plan/tally.ts';

/** Counts every object of the resources by what it is encrypted with, as etcd has them. Changes nothing. */
export async function census(input: CensusInput): Promise<CensusTally> {
  let whole = emptyTally();
  for (const resource of input.resources) {
    let cursor: string | undefined;
    do {
      if (CancellationScope.current().consideredCancelled)
        throw new CancelledFailure('the census was stopped');
      const chunk = await cluster.censusChunk({
        cluster: input.cluster,
        resource,
        ...(cursor === undefined ? {} : { cursor }),
        target: input.target,
        names: input.names,
        sampleEvery: input.sampleEvery,
        ...(input.waived === undefined ? {} : { waived: input.waived }),
        ...(input.sinceRevision === undefined ? {} : { sinceRevision: input.sinceRevision }),
      });
      whole = addTally(whole, chunk.tally);
      cursor = chunk.cursor;
    } while (cursor !== undefined);
  }
  return whole;
}
