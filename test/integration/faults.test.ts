import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Blows, drive, type Drive } from '../chaos/drive.ts';
import { FAULTS, PROCESSES } from '../chaos/faults.ts';
import { PHASES } from '../chaos/phases.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';

jest.setTimeout(600_000);

/** A diagonal of the table that `npm run test:chaos` makes: each process, each fault and each phase once at least. */
const BLOWS: Required<Blows> = {
  preflight: { process: 'temporal', fault: 'kill' },
  stage: { process: 'agent', fault: 'stop' },
  promote: { process: 'api-server', fault: 'kill' },
  rewrite: { process: 'etcd', fault: 'stop' },
  verify: { process: 'source-plugin', fault: 'kill' },
  soak: { process: 'vault', fault: 'kill' },
  cutover: { process: 'target-plugin', fault: 'kill' },
  cleanup: { process: 'worker', fault: 'kill' },
  'rolling-back': { process: 'worker', fault: 'stop' },
};

describe('a fault in every phase', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ sourcePlugins: true, workers: 2, seed: { secrets: 100, configMaps: 20 } }),
      (up) => up.down(),
    );
  });

  afterAll(() => cleanUp.run());

  /** Everything that should be, and nothing that shouldn't: the whole answer is shown where it isn't so. */
  function expectUnharmed(driven: Drive, phases: readonly string[]): void {
    expect(driven).toMatchObject({ wrong: [], help: [] });
    expect(driven.cells.map(({ phase, left }) => ({ phase, left }))).toEqual(
      phases.map((phase) => ({ phase, left: true })),
    );
    expect(driven.writes).toBeGreaterThan(0);
  }

  test('the table’s rows and columns are all met', () => {
    const blows = Object.values(BLOWS);
    expect(new Set(blows.map(({ process }) => process))).toEqual(new Set(PROCESSES));
    expect(new Set(blows.map(({ fault }) => fault))).toEqual(new Set(FAULTS));
    expect(new Set(Object.keys(BLOWS))).toEqual(new Set(PHASES));
  });

  test('amid rolling back keeps nothing from going back to what it was', async () => {
    const driven = await drive(
      plane,
      'rolled-back',
      { 'rolling-back': BLOWS['rolling-back'] },
      () => undefined,
    );
    expectUnharmed(driven, ['rolling-back']);
  });

  test('on the way forward keeps nothing from completing', async () => {
    const { 'rolling-back': _, ...forward } = BLOWS;
    const driven = await drive(plane, 'completed', forward, () => undefined);
    expectUnharmed(
      driven,
      PHASES.filter((phase) => phase !== 'rolling-back'),
    );
  });
});
