import type { Cluster } from '../src/cluster/cluster.ts';
import { checkFence } from '../src/cluster/fence.ts';
import { recentLook } from '../src/cluster/identity.ts';
import { KeyferryError } from '../src/errors.ts';
import { changesIn } from '../src/plan/watch.ts';
import { LOOK_MS } from '../src/rewrite/throttle.ts';
import type { GuardedInput } from '../workflows/types.ts';

/** @throws KeyferryError `Fenced`; `ServersChanged` when the API servers aren't those any more that were proven */
export async function guard(
  cluster: Cluster,
  { fence, known, expected }: Omit<GuardedInput, 'cluster'>,
): Promise<void> {
  await checkFence(cluster, fence);
  const { look } = await recentLook(cluster, known, LOOK_MS);
  const whys = [
    ...changesIn(look, expected).map(({ why }) => why),
    ...look.strangers.map((stranger) => `${stranger} lives, and isn't listed`),
  ];
  if (whys.length === 0) return;
  throw new KeyferryError('ServersChanged', whys.join('; '), {
    remedy: 'keyferry looks at every API server before it goes on',
  });
}
