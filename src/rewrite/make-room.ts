import type { Cluster } from '../cluster/cluster.ts';
import { KeyferryError } from '../errors.ts';
import { nextToDefragment } from '../plan/defragment.ts';

/** What a member may take. It has to write anew all that is in use, so several gigabytes at most. */
const WITHIN_MS = 10 * 60_000;
/**
 * Defragments one member of etcd, if the spec lets keyferry do so; one at a time, whoever asks. An etcd of one member answers
 * nobody meanwhile.
 *
 * @returns what came of it, in words; undefined where it isn't allowed, or nobody has much to give back
 */
export async function makeRoom({ etcd, spec }: Cluster): Promise<string | undefined> {
  if (spec.etcd.defragment !== 'WhenFull') return undefined;
  try {
    return await etcd.alone(`${spec.etcd.prefix}/keyferry.dev/defragmenting`, WITHIN_MS, async () => {
      const { members, alarms } = await etcd.status();
      const next = nextToDefragment(members, alarms);
      if (next === undefined || 'why' in next) return next?.why;
      await etcd.defragment(next.endpoint, WITHIN_MS);
      return `${next.endpoint} was defragmented`;
    });
  } catch (error) {
    if (!(error instanceof KeyferryError) || !error.retryable) throw error;
    return error.message;
  }
}
