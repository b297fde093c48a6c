import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { etcdUrls } from '../../lab/etcd.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { TARGET_FORMAT } from '../support/etcd.ts';
import { EtcdRelay } from '../support/etcd-relay.ts';
import { restartAs } from '../support/own-server.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder } from '../support/whole.ts';

jest.setTimeout(400_000);

/** Enough for half a minute at this rate. */
const SEED = { secrets: 300, configMaps: 0, large: 0 };
const PACE = { objectsPerSecond: 8, concurrency: 4, shards: 2 };

describe('while the watch cache of an API server falls behind what keyferry writes', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let relay: EtcdRelay;
  let migration: RunningMigration;

  const slowed = async (what: string, fits: (slowed: string) => boolean): Promise<string> => {
    const seen = await migration.until(what, ({ throttle }) => fits(throttle?.slowed.join() ?? ''));
    return seen.throttle?.slowed.join() ?? '';
  };

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ reload: true, seed: SEED }), (up) => up.down());
    const [member = ''] = etcdUrls(plane.lab.config);
    relay = cleanUp.keep(await EtcdRelay.to(member), (one) => one.stop());
    await restartAs(plane.lab.dir, 'cp-2', { etcdUrls: [relay.url] });
    migration = await plane.start({ spec: { pace: PACE } });
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > 0);
  });

  afterAll(() => cleanUp.run());

  test('it goes slower, and says which one and by how much', async () => {
    relay.holdWatches();
    expect(await slowed('it to slow down', (why) => why.includes('watch cache'))).toMatch(
      /the watch cache of cp-2 is [\d,]+ ms behind what keyferry wrote to secrets \(limit 3,000 ms\)/,
    );
    expect((await migration.progress()).phase).toBe('rewrite');
  });

  test('it gets faster again once the cache has caught up, and rewrites everything', async () => {
    relay.releaseWatches();
    await slowed('the cache to have caught up', (why) => !why.includes('watch cache'));
    await migration.untilPhase('soak', 'waiting');
    await expectAllUnder(plane, TARGET_FORMAT);
  });
});
