import { ApiServerEngine } from '../src/rewrite/apiserver.ts';
import type { ChunkResult } from '../src/rewrite/engine.ts';
import type { RewriteChunkInput } from '../workflows/types.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { rewriteChunkBy } from './rewrite-chunk.ts';

export function rewriteActivities({ clusters }: ClusterDependencies) {
  return {
    /** Rewrites a stretch of a shard through the API servers, or tries it only. */
    async rewriteChunk(input: RewriteChunkInput): Promise<ChunkResult> {
      const cluster = clusters.get(input.cluster);
      return await rewriteChunkBy(new ApiServerEngine(cluster, input.trial), cluster, input);
    },
  };
}
