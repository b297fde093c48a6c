import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, SOURCE_FORMAT, TARGET_FORMAT } from '../support/etcd.ts';
import { histories } from '../support/temporal-contents.ts';

jest.setTimeout(900_000);

const SECRETS = 500;

describe('the engine Etcd', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ seed: { secrets: SECRETS, configMaps: 50 } }), (up) =>
      up.down(),
    );
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 20 }), (one) => one.stop());
  });

  afterAll(() => cleanUp.run());

  const shardHistories = async (): Promise<string> =>
    (await histories(plane.temporal))
      .filter(({ where }) => where.startsWith('rewriteShard'))
      .map(({ text }) => text)
      .join('\n');

  test('moves every object by the agents, and back again from soak', async () => {
    const migration = await plane.start({ name: 'there-and-back', spec: { engine: 'Etcd' } });
    const { checks } = await migration.untilPhase('soak', 'waiting', 400_000);
    expect(checks.filter(({ outcome }) => outcome !== 'pass').map(({ name }) => name)).toEqual(['watchers']);
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(plane.lab.nodes.map((node) => `engine Etcd on ${node}`)),
    );
    const moved = await migratedValues(plane.lab);
    expect(moved.length).toBeGreaterThanOrEqual(SECRETS);
    expect(formats(moved)).toEqual({ [TARGET_FORMAT]: moved.length });
    const shards = await shardHistories();
    for (const node of plane.lab.nodes) expect(shards).toContain(`.${node}"`);

    await migration.order('rollback');
    expect((await migration.report(400_000)).outcome).toBe('rolled-back');
    const back = await migratedValues(plane.lab);
    expect(formats(back)).toEqual({ [SOURCE_FORMAT]: back.length });
  });

  describe('where an agent dies amid rewriting', () => {
    let report: MigrationReport;

    beforeAll(async () => {
      const [node = ''] = plane.lab.nodes;
      const migration = await plane.start({
        name: 'without-an-agent',
        spec: { engine: 'Etcd', pace: { objectsPerSecond: 60, concurrency: 4, shards: 2 } },
      });
      await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > 50, 400_000);
      await plane.lab.kill(`${node}.agent`);
      await migration.until(
        'the rest to be rewritten',
        ({ phase }) => ['verify', 'soak'].includes(phase),
        400_000,
      );
      await plane.lab.start(`${node}.agent`);
      report = await migration.finish();
      await journal.stop();
    });

    test('it completes, by the agents of the other nodes', () => {
      expect(report.outcome).toBe('completed');
      expect(report.passes[0]?.counts).toMatchObject({ refused: 0 });
    });

    test('nothing is lost, nothing unreadable, and all is under the target', async () => {
      expect(await whatIsWrong(plane, journal, TARGET_FORMAT)).toEqual([]);
    });
  });
});
