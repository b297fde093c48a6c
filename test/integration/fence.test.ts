import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Clusters, type Cluster } from '../../src/cluster/cluster.ts';
import { canary, putCanary } from '../../src/cluster/canary.ts';
import { checkFence, dropFence, raiseFence } from '../../src/cluster/fence.ts';
import { findResource } from '../../src/cluster/resources.ts';
import { migrationSchema } from '../../src/spec/migration.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { SOURCE_FORMAT, storedUnder } from '../support/etcd.ts';
import { expectAllUnder, expectReadable } from '../support/whole.ts';

jest.setTimeout(400_000);

const OBJECTS = 400;
const ONE = { holder: 'one-11111111', epoch: 1 };
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/keyferry';

describe('the fence', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let cluster: Cluster;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ workers: 2, seed: { secrets: OBJECTS - 50, configMaps: 50 } }),
      (up) => up.down(),
    );
    const clusters = cleanUp.keep(new Clusters(), (all) => all.close());
    cluster = clusters.get(migrationSchema.parse(plane.lab.migrationSpec()).spec.cluster);
  });

  afterAll(() => cleanUp.run());

  test('is raised by its holder only, and never lowered', async () => {
    await raiseFence(cluster, ONE);
    await raiseFence(cluster, ONE);
    await raiseFence(cluster, { ...ONE, epoch: 2 });
    await expect(raiseFence(cluster, ONE)).rejects.toMatchObject({ code: 'Fenced', retryable: false });
    await expect(raiseFence(cluster, { holder: 'two-22222222', epoch: 9 })).rejects.toMatchObject({
      code: 'ClusterTaken',
      message: expect.stringContaining('one-11111111'),
    });
  });

  test('refuses what a worker of an older epoch writes into etcd', async () => {
    const [server] = cluster.apiServers;
    if (server === undefined) throw new Error('the lab has an API server');
    const secrets = await findResource(server, 'secrets', '/registry');
    const put = async (epoch: number): Promise<void> => {
      const one = canary(secrets, 'kube-system', `epoch-${epoch}`, 'n');
      await putCanary(cluster, { ...ONE, epoch }, one, Buffer.from('no matter what'));
    };
    await expect(put(1)).rejects.toMatchObject({ code: 'Fenced' });
    await expect(checkFence(cluster, ONE)).rejects.toMatchObject({ code: 'Fenced' });
    expect(await storedUnder(plane.lab, '/registry/secrets/kube-system/keyferry-canary-epoch-')).toEqual([]);
  });

  test('keeps a migration of another Temporal away for as long as the first one holds the cluster', async () => {
    const migration = await plane.start();
    const { waitingFor } = await migration.until('it to wait for the other', (seen) =>
      seen.waitingFor.includes('holds the Lease'),
    );
    expect(waitingFor).toContain('the migration one-11111111 holds the Lease keyferry in kube-system');
    expect((await plane.ask('cp-1', 'GET', LEASE)).text).toContain('one-11111111');
    await dropFence(cluster, { ...ONE, epoch: 2 });
    expect((await plane.ask('cp-1', 'GET', LEASE)).status).not.toBe(403);
    await migration.untilPhase('soak', 'waiting');
    await migration.order('rollback');
    expect((await migration.report()).outcome).toBe('rolled-back');
    expect((await plane.ask('cp-1', 'GET', LEASE)).status).toBe(404);
  });

  test('lets a worker that froze before the direction changed do no harm when it goes on', async () => {
    const migration = await plane.start({
      spec: { pace: { objectsPerSecond: 60, concurrency: 8, shards: 4 } },
    });
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > OBJECTS / 4);
    await plane.lab.freeze('worker-1');
    await migration.order('rollback');
    await migration.until('the source to write again', ({ phase, apiServers }) => {
      return phase === 'rolling-back' && apiServers.every(({ mayRun }) => mayRun.join() === 'target-reads');
    });
    await plane.lab.thaw('worker-1');
    const report = await migration.report();
    expect(report.outcome).toBe('rolled-back');
    await expectAllUnder(plane, SOURCE_FORMAT);
    await expectReadable(plane, OBJECTS);
  });
});
