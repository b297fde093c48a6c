import { cancellationSignal } from '@temporalio/activity';
import { sampleFormat } from '../src/census/survey.ts';
import { countFrom } from '../src/census/count.ts';
import { compileNames } from '../src/envelope/header.ts';
import { waivedValues } from '../src/plan/waivers.ts';
import type {
  CensusChunkInput,
  CensusChunkResult,
  FormatSample,
  FormatSampleInput,
} from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

/** Milliseconds of one chunk of a census. */
const CHUNK_MS = 10_000;
/** Milliseconds of a sample: about 50,000 objects of 1 kB are counted in it. */
const SAMPLE_MS = 2_000;

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

    /** How many of a resource's objects are in a format by now, by a count of a bounded part of them. */
    async sampleFormat({ cluster, resource, target, names }: FormatSampleInput): Promise<FormatSample> {
      const { etcd } = clusters.get(cluster);
      const options = { timeMs: SAMPLE_MS, signal: cancellationSignal() };
      return await beating(() => sampleFormat(etcd, resource, target, compileNames(names), options));
    },
  };
}
