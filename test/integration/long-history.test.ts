import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { pauseSignal } from '../../workflows/messages.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { historyLengths, MOST_EVENTS } from '../support/history.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(300_000);

/** More messages than a history may grow by before a run goes on in another. */
const MESSAGES = 1_600;

describe('a migration whose history has grown long', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 1, seed: { secrets: 50, configMaps: 10, large: 0 } }),
      (up) => up.down(),
    );
    migration = await plane.start();
    await migration.untilPhase('soak', 'waiting');
  });

  afterAll(() => cleanUp.run());

  test('goes on in another run, knows all it knew, and ends as it should', async () => {
    const before = await migration.progress();
    const handle = plane.temporal.workflow.getHandle(migration.workflowId);
    for (let sent = 0; sent < MESSAGES; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, () => handle.signal(pauseSignal, 'junk')));
    }
    await migration.until('nothing but the gate', ({ state }) => state === 'waiting');
    const { runId } = await handle.describe();
    expect(runId).not.toBe(migration.runId);

    const { objects, rewrite, apiServers, phase } = await migration.progress();
    expect({ objects, rewrite, apiServers, phase }).toEqual({
      objects: before.objects,
      rewrite: before.rewrite,
      apiServers: before.apiServers,
      phase: 'soak',
    });
    expect(await migration.timeline()).toHaveLength(200);

    const report = await migration.finish();
    expect(report.outcome).toBe('completed');
    const [longest] = await historyLengths(plane.temporal, migration.workflowId);
    expect(longest?.events).toBeLessThan(MOST_EVENTS);
    expect(report.after).toMatchObject({ objects: objects.total, inTarget: objects.total });
  });
});
