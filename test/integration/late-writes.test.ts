import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import {
  formats,
  migratedValues,
  store,
  storedUnder,
  TARGET_FORMAT,
  type StoredValue,
} from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder, expectReadable } from '../support/whole.ts';

jest.setTimeout(400_000);

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
type HistoryEvent = NonNullable<History['events']>[number];

const OBJECTS = 60;
/** The labs' request timeout, and the margin. */
const LATE_MS = 5_000 + 10_000;

function typeOf({ activityTaskScheduledEventAttributes: about }: HistoryEvent): string {
  return about?.activityType?.name ?? '';
}

/** Milliseconds of a time, or of a duration. */
function msOf(time: HistoryEvent['eventTime']): number {
  return Number(time?.seconds ?? NaN) * 1_000 + (time?.nanos ?? NaN) / 1e6;
}

describe('a value under the source that lands after everything was rewritten', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;
  let report: MigrationReport;
  /** Values as the source sealed them before the migration: an object of the same content, each. */
  let sealed: StoredValue[];

  async function land(at: number): Promise<void> {
    const value = sealed[at];
    if (value === undefined) throw new Error('too few objects were seeded');
    await store(plane.lab, value.key, value.value);
  }

  async function happened(): Promise<string[]> {
    return (await migration.timeline()).map(({ what, reason = '' }) => `${what}: ${reason}`);
  }

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 1, seed: { secrets: OBJECTS, configMaps: 0, large: 0 } }),
      (up) => up.down(),
    );
    sealed = await storedUnder(plane.lab, '/registry/secrets/seed-');
    migration = await plane.start();
  });

  afterAll(() => cleanUp.run());

  test('before its request could have timed out is waited for, and rewritten', async () => {
    await migration.until('late writes to be waited for', ({ waitingFor }) =>
      waitingFor.includes('sealed before the writer changed may still land'),
    );
    await land(0);
    await migration.untilPhase('soak', 'waiting');
    expect((await happened()).join('\n')).toMatch(/pass 1 done[^]*pass 2 done/);
    expect(formats(await migratedValues(plane.lab))).not.toHaveProperty('k8s:enc:aescbc:v1:key1:');
  });

  test('is waited for from the proof of the writer on, not from the end of rewriting', async () => {
    const { events } = await plane.temporal.workflow.getHandle(migration.workflowId).fetchHistory();
    const all = events ?? [];
    const scheduled = (type: string, from: number): number =>
      all.findIndex((event, i) => i > from && typeOf(event) === type);
    const planned = scheduled('planShards', 0);
    const provenAgain = scheduled('proveWriting', planned);
    const timer = all.find((event, i) => i > provenAgain && event.timerStartedEventAttributes != null);
    expect(planned).toBeGreaterThan(0);
    expect(provenAgain).toBeGreaterThan(planned);
    const until = msOf(timer?.eventTime) + msOf(timer?.timerStartedEventAttributes?.startToFireTimeout);
    expect(until - LATE_MS).toBeLessThan(msOf(all[planned]?.eventTime));
  });

  test('after the census is found by the delta census, before the source leaves', async () => {
    await land(1);
    const files = plane.configurations();
    await migration.order('approve cutover');
    await migration.until('the third pass', ({ pass }) => pass === 3);
    expect(plane.configurations()).toEqual(files);
  });

  test('after the source has left puts it back as a reader at once', async () => {
    await migration.until('the source to have left', ({ apiServers }) =>
      apiServers.every(({ mayRun }) => mayRun.join() === 'target-only'),
    );
    await land(2);
    await migration.untilPhase('soak', 'waiting');
    expect((await happened()).join('\n')).toMatch(
      /the source goes back in: 1 object needing what has left turned up/,
    );
    const { apiServers } = await migration.progress();
    expect(apiServers.map(({ mayRun }) => mayRun)).toEqual([['target-writes']]);
    report = await migration.finish();
  });

  test('is not lost by any of it', async () => {
    expect(report.outcome).toBe('completed');
    await expectAllUnder(plane, TARGET_FORMAT);
    await expectReadable(plane, OBJECTS);
  });
});
