import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Journal } from '../../lab/journal.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, storedUnder, SOURCE_FORMAT, TARGET_FORMAT } from '../support/etcd.ts';
import { type Progress } from '../../src/plan/progress.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder, expectNothingLost, expectReadable } from '../support/whole.ts';

jest.setTimeout(600_000);

const OBJECTS = 250;

/** Whether one server, and not yet all, has the arrangement. */
function atOne(arrangement: string): (progress: Progress) => boolean {
  return ({ apiServers }) => {
    const there = apiServers.filter(({ mayRun }) => mayRun.length === 1 && mayRun[0] === arrangement);
    return there.length > 0 && there.length < apiServers.length;
  };
}

describe('a rollback', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;
  let originals: Record<string, string>;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 3, seed: { secrets: OBJECTS - 50, configMaps: 50 } }),
      (up) => up.down(),
    );
    originals = plane.configurations();
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 10, writers: 1 }), (one) => one.stop());
  });

  afterAll(() => cleanUp.run());

  /** Files, objects and canaries are as they were, every object can be read, and the cluster is free. */
  async function expectAsBefore(report: MigrationReport): Promise<void> {
    expect(report.outcome).toBe('rolled-back');
    expect(plane.configurations()).toEqual(originals);
    const folder = dirname(plane.configurationFile(plane.lab.nodes[0] ?? ''));
    expect(readdirSync(folder)).toEqual(['config.yaml']);
    const values = await migratedValues(plane.lab);
    expect(formats(values)).toEqual({ [SOURCE_FORMAT]: values.length });
    expect(values.filter(({ key }) => key.includes('keyferry-canary')).map(({ key }) => key)).toEqual([]);
    await expectReadable(plane, OBJECTS);
    expect(await storedUnder(plane.lab, '/registry/keyferry.dev/')).toEqual([]);
    expect(await storedUnder(plane.lab, '/registry/leases/kube-system/keyferry')).toEqual([]);
  }

  test.each<[phase: string, when: (one: RunningMigration) => Promise<unknown>]>([
    ['preflight', (one) => one.untilPhase('preflight')],
    [
      'stage, with the file of one server of three changed,',
      (one) => one.until('the first of three servers to read the target', atOne('target-reads')),
    ],
  ])('from %s brings everything back to what it was', async (_, when) => {
    const migration = await plane.start();
    await when(migration);
    await migration.order('rollback');
    await expectAsBefore(await migration.report());
  });

  test('from amid rewriting, turned forward again amid itself, and from after cutover brings everything back', async () => {
    const migration = await plane.start({
      spec: { pace: { objectsPerSecond: 50, concurrency: 8, shards: 2 } },
    });
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > OBJECTS / 2);
    expect(formats(await migratedValues(plane.lab))).toHaveProperty(TARGET_FORMAT);
    await migration.order('rollback');
    await migration.until('one server to write the source again', atOne('target-reads'));
    await migration.order('forward');
    await migration.untilPhase('soak', 'waiting');
    await expectAllUnder(plane, TARGET_FORMAT);
    await migration.order('approve cutover');
    await migration.untilPhase('cutover', 'waiting');
    await migration.order('rollback');
    const report = await migration.report(400_000);
    const turns = report.timeline.map(({ what }) => what).filter((what) => /^(rollback|forward)$/.test(what));
    expect(turns).toEqual(['rollback', 'forward', 'rollback']);
    await expectAsBefore(report);
  });

  test('loses no write of a client that wrote through all of them', async () => {
    await journal.stop();
    await expectNothingLost(journal);
  });
});
