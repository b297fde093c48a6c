import { changesIn } from '../src/plan/watch.ts';
import { cluster, watching } from './activities.ts';
import { expectations, lookInput } from './inputs.ts';
import type { MigrationRun } from './migration-run.ts';
import type { ClusterLook } from './types.ts';

/** One activity watches for so long; the next one goes on. */
const WATCH_MS = 60 * 60_000;

/** Looks at every API server, and tells the plan what is different. */
export async function look(run: MigrationRun): Promise<'same' | 'changed'> {
  return tellChanges(run, await cluster.lookAtServers(lookInput(run)));
}

/** Watches the API servers, for so many milliseconds at most. */
export async function watch(run: MigrationRun, forMs = WATCH_MS): Promise<'same' | 'changed'> {
  const seen = await watching.watchServers({
    ...lookInput(run),
    expected: expectations(run),
    forMs: Math.min(forMs, WATCH_MS),
  });
  return tellChanges(run, seen);
}

function tellChanges(run: MigrationRun, seen: ClusterLook): 'same' | 'changed' {
  const changes = changesIn(seen, expectations(run));
  const { strangers } = run.state.seen;
  // What was proven of key ids is of no use any more.
  if (changes.some(({ byKeyId }) => byKeyId)) run.patch({ sealing: undefined, steadySince: undefined });
  for (const { server, kind, why } of changes) {
    run.note({ actor: 'keyferry', verified: true, what: `${server} changed`, reason: why });
    // It was restarted for this file before, and then it drifted: that is another time. What a new process ran at first isn't known.
    run.patch({ restarted: { ...run.state.restarted, [server]: '' }, writerSince: undefined });
    run.event({ kind, server });
  }
  if (seen.strangers.join() !== strangers.join()) {
    run.note({
      actor: 'keyferry',
      verified: true,
      what: seen.strangers.length === 0 ? 'every API server is listed again' : 'an API server is not listed',
      ...(seen.strangers.length === 0 ? {} : { reason: seen.strangers.join(', ') }),
    });
    run.event({ kind: 'strangers', servers: seen.strangers });
  }
  return changes.length === 0 && seen.strangers.length === 0 ? 'same' : 'changed';
}
