import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Journal } from '../../lab/journal.ts';
import { verifyContent } from '../../lab/seed.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, SOURCE_FORMAT, TARGET_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(400_000);

const OBJECTS = 250;

describe('a rollback', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;
  let originals: Record<string, string>;

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ seed: { secrets: OBJECTS - 50, configMaps: 50 } }), (up) =>
      up.down(),
    );
    originals = plane.configurations();
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 10, writers: 1 }), (one) => one.stop());
  });

  afterAll(() => cleanUp.run());

  /** When a migration is where it is to be turned round, and whether anything was under the target by then. */
  const cases: readonly [
    phase: string,
    when: (one: RunningMigration) => Promise<unknown>,
    targetWrote: boolean,
  ][] = [
    ['stage', (one) => one.untilPhase('stage'), false],
    ['promote', (one) => one.untilPhase('promote'), false],
    [
      'rewrite',
      (one) => one.until('a part to be rewritten', ({ rewrite }) => rewrite.done > OBJECTS / 2),
      true,
    ],
    ['verify', (one) => one.untilPhase('verify'), true],
  ];

  test.each(cases)(
    'from %s brings files and objects back to what they were',
    async (phase, when, targetWrote) => {
      const migration = await plane.start({
        spec: { pace: { objectsPerSecond: 50, concurrency: 8, shards: 2 } },
      });
      await when(migration);
      if (targetWrote) expect(formats(await migratedValues(plane.lab))).toHaveProperty(TARGET_FORMAT);
      await migration.order('rollback');
      const report = await migration.report();

      expect(report.outcome).toBe('rolled-back');
      expect(report.timeline.map(({ what }) => what)).toContain(`phase ${phase}`);
      expect(plane.configurations()).toEqual(originals);
      const folder = dirname(plane.configurationFile(plane.lab.nodes[0] ?? ''));
      expect(readdirSync(folder)).toEqual(['config.yaml']);
      const values = await migratedValues(plane.lab);
      expect(formats(values)).toEqual({ [SOURCE_FORMAT]: values.length });
      expect(values.filter(({ key }) => key.includes('keyferry-canary')).map(({ key }) => key)).toEqual([]);
      for (const node of plane.lab.nodes) {
        expect(await verifyContent(plane.lab, { node })).toEqual({
          checked: OBJECTS,
          missing: [],
          different: [],
          unreadable: [],
        });
      }
    },
  );

  test('loses no write of a client that wrote through all of them', async () => {
    await journal.stop();
    const { writes, ...rest } = await journal.check();
    expect(writes).toBeGreaterThan(0);
    expect(rest).toMatchObject({ lost: [], unreadable: [], refused: {} });
  });
});
