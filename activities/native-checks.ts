import type { Cluster } from '../src/cluster/cluster.ts';
import { controllerLease, nativeServing } from '../src/cluster/native-migration.ts';
import type { Check } from '../src/plan/preflight.ts';
import { judgeController, judgeNativeServing, UNSTOPPABLE_CHECK } from '../src/plan/preflight-native.ts';
import { asked } from './asked.ts';

/** What preflight asks of the engine `StorageVersionMigration`, whatever it shall rewrite for. */
export async function nativeChecks(cluster: Cluster): Promise<Check[]> {
  const serving = await asked(() => Promise.all(cluster.apiServers.map((server) => nativeServing(server))));
  const lease = await asked(() => controllerLease(cluster));
  return [judgeNativeServing(serving), judgeController(lease, Date.now()), UNSTOPPABLE_CHECK];
}
