import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { runLeg } from '../matrix/leg.ts';
import { KeyFiles, sidesOf } from '../matrix/sides.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';

jest.setTimeout(400_000);

/** Two legs of the matrix (docs/MATRIX.md), without a key service. */
describe('a cluster that moves between keys in the file', () => {
  const cleanUp = new CleanUp();
  const dir = mkdtempSync(join(tmpdir(), 'kf-keys-'));
  const files = new KeyFiles(dir);
  const sides = sidesOf(files, (name) => `unix:///nowhere/${name}.sock`);
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        plugins: false,
        vault: false,
        seed: { secrets: 150, configMaps: 20 },
        encryptionConfiguration: () => files.configuration('aescbc'),
      }),
      (up) => up.down(),
    );
  });

  afterAll(async () => {
    await cleanUp.run();
    rmSync(dir, { recursive: true, force: true });
  });

  test('ends under the key that lies in a file on each node', async () => {
    const leg = await runLeg(plane, { source: 'aescbc', target: 'secretbox' }, sides);
    expect(leg.wrong).toEqual([]);
    expect(leg.objects).toBeGreaterThanOrEqual(170);
    expect(leg.writes).toBeGreaterThan(0);
  });

  test('ends unencrypted where that is asked for', async () => {
    const leg = await runLeg(plane, { source: 'secretbox', target: 'identity' }, sides);
    expect(leg.wrong).toEqual([]);
    expect(leg.objects).toBeGreaterThanOrEqual(170);
  });
});
