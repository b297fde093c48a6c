import { cancellationSignal } from '@temporalio/activity';
import { countFrom } from '../src/census/count.ts';
import { compileNames } from '../src/envelope/header.ts';
import { waivedValues } from '../src/plan/waivers.ts';
import type { CensusChunkInput, CensusChunkResult } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

/** Milliseconds of one chunk of a census. */
const CHUNK_MS = 10_000;

export function censusActivities({ clusters }: ClusterDependencies) {
  return {
    /** Counts a stretch of a resource's objects by what they are encrypted with. */
    async censusChunk({
      cluster,
      resource,
      cursor,
      target,
      names,
      sinceRevision,
      waived = [],
    }: CensusChunkInput): Promise<CensusChunkResult> {
      const { etcd } = clusters.get(cluster);
      const part = await beating((tell) =>
        countFrom(etcd, resource, cursor, target, compileNames(names), {
          timeMs: CHUNK_MS,
          ...(sinceRevision === undefined ? {} : { sinceRevision }),
          waived: waivedValues(waived),
          signal: cancellationSignal(),
          onProgress: tell,
        }),
      );
      return { tally: part.tally, ...(part.cursor === undefined ? {} : { cursor: part.cursor }) };
    },
  };
}
