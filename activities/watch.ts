import { cancellationSignal, sleep } from '@temporalio/activity';
import { lookAtServers } from '../src/cluster/identity.ts';
import { changesIn } from '../src/plan/watch.ts';
import type { ClusterLook, LookInput, WatchInput } from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';

const POLL_MS = 10_000;

export function watchActivities({ clusters }: ClusterDependencies) {
  return {
    /** Looks once at every API server, and for others than the listed ones. */
    async lookAtServers({ cluster, known }: LookInput): Promise<ClusterLook> {
      return await beating(() => lookAtServers(clusters.get(cluster), known));
    },

    /** Watches the API servers until one isn't what it should be, the time is over, or it is asked to stop. */
    async watchServers({ cluster, known, expected, forMs }: WatchInput): Promise<ClusterLook> {
      const connected = clusters.get(cluster);
      const deadline = Date.now() + forMs;
      return await beating(async () => {
        for (;;) {
          const look = await lookAtServers(connected, known);
          const left = deadline - Date.now();
          const strange = look.strangers.length > 0 || changesIn(look, expected).length > 0;
          if (strange || left <= 0 || cancellationSignal().aborted) return look;
          await sleep(Math.min(POLL_MS, left)).catch(() => undefined);
        }
      });
    },
  };
}
