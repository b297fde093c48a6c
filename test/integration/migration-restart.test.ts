import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, storedUnder, TARGET_FORMAT } from '../support/etcd.ts';
import { watchReadiness, type Readiness } from '../support/readiness.ts';
import { expectNothingLost, expectReadable } from '../support/whole.ts';

jest.setTimeout(600_000);

const PHASES = ['preflight', 'stage', 'promote', 'rewrite', 'verify', 'soak', 'cutover', 'cleanup'] as const;
const OBJECTS = 800;
const PACE = { objectsPerSecond: 40, concurrency: 8, shards: 2 };
/** A chunk ends after 10 s, and finishes the requests it has begun. */
const CHUNK = (10 * PACE.objectsPerSecond) / PACE.shards + PACE.concurrency;

/** Those of the journal's one writer, and the cluster's own. */
const OTHER_OBJECTS = 25 + 5;

describe('a migration by restarts, its worker killed in every phase', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;
  let readiness: Readiness;
  let report: MigrationReport;
  const killedIn: string[] = [];

  async function killWorker(phase: string): Promise<void> {
    await plane.lab.kill('worker-1');
    killedIn.push(phase);
    await plane.lab.start('worker-1');
  }

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ seed: { secrets: OBJECTS - 100, configMaps: 100 } }), (up) =>
      up.down(),
    );
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 10, writers: 1 }), (one) => one.stop());
    readiness = cleanUp.keep(watchReadiness(plane.lab), (one) => one.stop());
    const migration = await plane.start({ spec: { pace: PACE } });
    for (const phase of ['preflight', 'stage', 'promote'] as const) {
      await migration.untilPhase(phase);
      await killWorker(phase);
    }
    // Late enough that beginning anew would be seen.
    await migration.until('most objects to be rewritten', ({ rewrite }) => rewrite.done > 0.7 * OBJECTS);
    await killWorker('rewrite');
    await migration.untilPhase('verify');
    await killWorker('verify');
    await migration.untilPhase('soak', 'waiting');
    await killWorker('soak');
    await migration.order('approve cutover');
    await migration.untilPhase('cutover');
    await killWorker('cutover');
    await migration.untilPhase('cutover', 'waiting');
    const { phase } = await migration.order('approve cleanup');
    await killWorker(phase);
    report = await migration.report();
    await journal.stop();
    await readiness.stop();
  });

  afterAll(() => cleanUp.run());

  test('it completes, having lost its worker in each phase', () => {
    expect(killedIn).toEqual(PHASES);
    expect(report.outcome).toBe('completed');
  });

  test('every value in etcd is in the format of the target', async () => {
    const values = await migratedValues(plane.lab);
    expect(values.length).toBeGreaterThanOrEqual(OBJECTS);
    expect(formats(values)).toEqual({ [TARGET_FORMAT]: values.length });
  });

  test('every object was written once for the migration, and not once more', async () => {
    const seeded = [
      ...(await storedUnder(plane.lab, '/registry/secrets/seed-')),
      ...(await storedUnder(plane.lab, '/registry/configmaps/seed-')),
    ];
    expect(seeded).toHaveLength(OBJECTS);
    expect(seeded.filter(({ version }) => version !== 2).map(({ key }) => key)).toEqual([]);
  });

  test('at most one chunk of each shard was done twice', () => {
    const [pass, ...more] = report.passes;
    expect(more).toEqual([]);
    expect(pass?.counts.rewritten).toBeGreaterThanOrEqual(OBJECTS);
    const twice = (pass?.counts.examined ?? 0) - OBJECTS;
    expect(twice).toBeLessThanOrEqual(PACE.shards * CHUNK + OTHER_OBJECTS);
  });

  test('every object has the content it had, through each API server', async () => {
    await expectReadable(plane, OBJECTS);
  });

  test('a client that wrote all the while lost nothing', async () => {
    await expectNothingLost(journal);
  });

  test('each API server was restarted, and never two at once', () => {
    expect([...readiness.seen.down].sort()).toEqual([...plane.lab.nodes].sort());
    expect(readiness.seen.atOnce).toBe(1);
  });
});
