import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { waitFor } from '../../lab/wait.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { TARGET_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder } from '../support/whole.ts';

jest.setTimeout(400_000);

const AGENT = 'cp-1.agent';
const OBJECTS = 20;

describe('an agent that dies between writing the file and restarting its API server', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;
  let processBefore: number | undefined;
  let away: string;
  let report: MigrationReport;

  /** What the agent was asked to do and hasn't done; `nothing` where it has done all. */
  async function askedOfAgent(): Promise<string> {
    const { raw } = await migration.handle.describe();
    const types = (raw.pendingActivities ?? []).map(({ activityType }) => activityType?.name ?? '');
    return types.find((one) => ['arrangeConfiguration', 'restartApiServer'].includes(one)) ?? 'nothing';
  }

  async function untilAsked(what: string, fits: (asked: string) => boolean): Promise<string> {
    return await waitFor({ what, timeoutMs: 60_000, intervalMs: 50 }, async () => {
      const asked = await askedOfAgent();
      return fits(asked) && asked;
    });
  }

  /** Lets a frozen agent do one thing after another, until it is to restart the API server. */
  async function untilRestart(): Promise<void> {
    while ((await untilAsked('work for the agent', (asked) => asked !== 'nothing')) !== 'restartApiServer') {
      // Without a worker nothing more is asked for.
      await plane.lab.freeze('worker-1');
      await plane.lab.thaw(AGENT);
      await untilAsked('the agent to be done', (asked) => asked === 'nothing');
      await plane.lab.freeze(AGENT);
      await plane.lab.thaw('worker-1');
    }
  }

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 1, seed: { secrets: OBJECTS, configMaps: 0, large: 0 } }),
      (up) => up.down(),
    );
    migration = await plane.start();
    await migration.untilPhase('soak', 'waiting');
    await plane.lab.freeze(AGENT);
    await migration.order('approve cutover');
    await untilRestart();
    processBefore = plane.lab.pid('cp-1.apiserver');
    await plane.lab.kill(AGENT);
    const { waitingFor } = await migration.until('the agent to be missed', (seen) =>
      seen.waitingFor.includes('no agent on cp-1'),
    );
    away = waitingFor;
    await plane.lab.start(AGENT);
    await migration.untilPhase('cutover', 'waiting');
    await migration.order('approve cleanup');
    report = await migration.report();
  });

  afterAll(() => cleanUp.run());

  test('is missed by its name, with what it should do', () => {
    expect(away).toContain('no agent on cp-1 takes up "restartApiServer"');
  });

  test('is asked again when it is back', () => {
    expect(processBefore).toBeDefined();
    expect(plane.lab.pid('cp-1.apiserver')).not.toBe(processBefore);
    expect(report.outcome).toBe('completed');
  });

  test('leaves nothing behind', async () => {
    await expectAllUnder(plane, TARGET_FORMAT);
  });
});
