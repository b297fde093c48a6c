import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { SOURCE_FORMAT } from '../support/etcd.ts';
import { expectAllUnder, expectReadable } from '../support/whole.ts';

jest.setTimeout(900_000);

const OBJECTS = 40;

describe('a rollback where files are taken up by reload, and the plugin of the target is dead', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        apiServers: 1,
        reload: true,
        seed: { secrets: OBJECTS, configMaps: 0, large: 0 },
      }),
      (up) => up.down(),
    );
  });

  afterAll(() => cleanUp.run());

  test('restarts the API server, which refuses to reload any file with a dead provider in it', async () => {
    const originals = plane.configurations();
    const before = plane.lab.pid('cp-1.apiserver');
    const migration = await plane.start();
    await migration.until(
      'the file to let the target write',
      ({ apiServers }) => apiServers.every(({ file }) => file === 'target-writes'),
      400_000,
    );
    await migration.order('pause');
    // The API server takes the file up all the same, and nothing is sealed with it yet.
    while (!(await plane.ask('cp-1', 'GET', '/metrics')).text.includes(hashOf(plane))) await sleep(1_000);
    await plane.lab.kill('cp-1.plugin');
    await migration.order('rollback');
    const report = await migration.report(600_000);

    expect(report.outcome).toBe('rolled-back');
    expect(plane.lab.pid('cp-1.apiserver')).not.toBe(before);
    expect(plane.configurations()).toEqual(originals);
    await expectAllUnder(plane, SOURCE_FORMAT);
    await expectReadable(plane, OBJECTS);
  });
});

function hashOf(plane: ControlPlane): string {
  return createHash('sha256')
    .update(readFileSync(plane.configurationFile('cp-1')))
    .digest('hex');
}
