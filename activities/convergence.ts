import { CancelledFailure, sleep } from '@temporalio/activity';
import { apiServerNamed } from '../src/cluster/cluster.ts';
import { checkConvergence } from '../src/cluster/convergence.ts';
import type { LoadedInput, LoadedResult } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

const POLL_MS = 1_000;

export function convergenceActivities({ clusters }: ClusterDependencies) {
  return {
    /** Waits for one API server to run the file it should; answers with what it waits for when its time is over. */
    async awaitLoaded({ cluster, apiServer, hash, waitMs, leaving }: LoadedInput): Promise<LoadedResult> {
      const server = apiServerNamed(clusters.get(cluster), apiServer);
      const deadline = Date.now() + waitMs;
      let failedBefore: number | undefined;
      return await beating(async () => {
        for (;;) {
          const seen = await checkConvergence(server, hash, leaving);
          const failed = seen.converged ? undefined : seen.failedReloads;
          failedBefore ??= failed;
          const refused = failed !== undefined && failedBefore !== undefined && failed > failedBefore;
          if (refused) return { ...seen, refusedReload: true };
          if (seen.converged || Date.now() >= deadline) return seen;
          try {
            await sleep(POLL_MS);
          } catch (error) {
            if (error instanceof CancelledFailure) return seen;
            throw error;
          }
        }
      });
    },
  };
}
