import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Check } from '../../src/plan/preflight.ts';
import { type StorageVersionReport } from '../../workflows/storage-version-migration.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { ConversionWebhook } from '../support/conversion-webhook.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { movingTo } from '../support/storage-versions.ts';
import { startSelfieWriter, type SelfieWriter } from '../support/selfie-writer.ts';
import { Selfies } from '../support/selfies.ts';

jest.setTimeout(400_000);

const SELFIES = 'selfierequests.stable.example.com';
const OBJECTS = 120;

describe('a custom resource whose storage version moved from v1 to v2', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let webhook: ConversionWebhook;
  let selfies: Selfies;
  let writer: SelfieWriter;
  let migration: RunningMigration;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ vault: false, plugins: false, agents: false, reload: true }),
      (up) => up.down(),
    );
    webhook = cleanUp.keep(await ConversionWebhook.start(plane.lab), (one) => one.down());
    selfies = await Selfies.up(plane, webhook, OBJECTS);
  });

  afterAll(() => cleanUp.run());

  const moving = movingTo(SELFIES, {
    encrypted: false,
    pace: { objectsPerSecond: 20, concurrency: 4, shards: 2 },
    verify: { reads: 'All' },
  });

  async function preflight(): Promise<{ code: number | null; checks: Map<string, Check> }> {
    const answer = await plane.cli(['preflight', '-f', plane.document({}, moving), '--json']);
    const { checks } = jsonOf(answer) as { checks: Check[] };
    return { code: answer.code, checks: new Map(checks.map((check) => [check.name, check])) };
  }

  async function untilItStops(): Promise<Awaited<ReturnType<RunningMigration['progress']>>> {
    return await migration.until('it to stop', ({ state }) => state === 'paused');
  }

  test('preflight tells what is stored, and that objects keep what they say when they are converted', async () => {
    const { code, checks } = await preflight();
    const others = [...checks.values()].filter(({ outcome }) => outcome !== 'pass');
    expect({ code, others }).toEqual({ code: 0, others: [] });
    expect(checks.get(`storage version of ${SELFIES}`)?.detail).toBe(
      'stable.example.com/v2 on 2 API servers; status.storedVersions says that objects may lie in v1 too',
    );
    expect(checks.get(`conversion of ${SELFIES}`)?.detail).toMatch(
      /^\d+ objects keep what they say when converted by its webhook$/,
    );
  });

  test('a webhook that drops a field fails preflight, with the object and the field', async () => {
    webhook.dropsFor = () => true;
    const { code, checks } = await preflight();
    webhook.dropsFor = () => false;
    expect(code).toBe(1);
    const check = checks.get(`conversion of ${SELFIES}`);
    expect(check?.outcome).toBe('fail');
    expect(check?.detail).toMatch(/default\/cr-\d+ as stable.example.com\/v1 through cp-[12]: .*hostPort/);
    expect(check?.detail).not.toContain('host-');
    expect(await selfies.lyingAs('v2')).toEqual([]);
  });

  test('one that begins to drop it while objects are rewritten stops the run, and they stay as they were', async () => {
    writer = cleanUp.keep(await startSelfieWriter(plane.lab), (one) => one.stop());
    migration = await plane.start({}, moving);
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.rewritten > 10);
    const victims = new Set(
      (await selfies.lyingAs('v1')).filter((name) => name.startsWith('cr-')).slice(-40),
    );
    webhook.dropsFor = (name) => victims.has(name);
    const seen = await untilItStops();
    expect(seen.phase).toBe('rewrite');
    expect(seen.waitingFor).toMatch(/refused to be rewritten, and no stored version was removed/);
    const [refusal] = seen.refusals;
    expect(victims).toContain(refusal?.name);
    expect(refusal?.reason).toMatch(
      /back to stable.example.com\/v1 it loses or changes hostPort; it was not rewritten/,
    );
    expect(refusal?.remedy).toContain('let the conversion');
    for (const { name } of seen.refusals) expect(await selfies.lyingAs('v1')).toContain(name);
    expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
  });

  test('one that answers an object with an error stops it, and nothing of the answer is told', async () => {
    const [victim = ''] = (await selfies.lyingAs('v1')).filter(
      (name) => name.startsWith('cr-') && !name.endsWith('0'),
    );
    webhook.dropsFor = () => false;
    webhook.errsFor = (name) => name === victim;
    await migration.order('resume');
    const seen = await untilItStops();
    expect(seen.refusals.map(({ name }) => name)).toEqual([victim]);
    expect(seen.refusals[0]?.reason).toContain(
      'the conversion webhook for stable.example.com/v1 answered with an error',
    );
    expect(JSON.stringify(seen)).not.toContain('host-');
    expect(await selfies.lyingAs('v1')).toContain(victim);
    expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
  });

  test('one that is down stops it', async () => {
    webhook.errsFor = () => false;
    await webhook.down();
    await migration.order('resume');
    const seen = await untilItStops();
    expect(seen.refusals[0]?.reason).toContain('did not answer');
    expect(seen.refusals[0]?.remedy).toContain('spec.conversion');
    expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
    await webhook.up();
  });

  test('a pause holds it, and a worker that dies over it changes nothing', async () => {
    await migration.order('resume');
    await migration.until('another pass', ({ rewrite, state }) => state === 'running' && rewrite.done > 5);
    await migration.order('pause');
    const { phase } = await migration.until('the pause to hold', ({ state }) => state === 'paused');
    expect(phase).toBe('rewrite');
    await migration.order('resume');
    await migration.until('it to go on', ({ rewrite, state }) => state === 'running' && rewrite.done > 30);
    await plane.lab.kill('worker-1');
    await plane.lab.start('worker-1');
  });

  test('the old version is removed once no object lies in it and a person approved', async () => {
    await migration.untilPhase('trim', 'waiting');
    expect(await selfies.lyingAs('v1')).toEqual([]);
    expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
    const early = await migration.tell('approve cutover');
    expect(early.code).toBe(77);
    await migration.order('approve trim');
    const report = (await migration.report()) as unknown as StorageVersionReport;
    expect(report.outcome).toBe('completed');
    expect(await selfies.storedVersions()).toEqual(['v2']);
    expect(report.resources).toEqual([
      { resource: SELFIES, storageVersion: 'v2', storedBefore: ['v1', 'v2'], storedAfter: ['v2'] },
    ]);
    expect(report.before?.rows).toContainEqual(
      expect.objectContaining({ resource: SELFIES, apiVersion: 'stable.example.com/v1' }),
    );
    expect(report.after?.rows.map(({ apiVersion }) => apiVersion)).toEqual(['stable.example.com/v2']);
    expect(report.after?.outdated).toBe(0);
    expect(JSON.stringify(report)).not.toContain('host-');
  });

  test('nothing that anybody wrote is lost, by either version', async () => {
    await writer.stop();
    expect(writer.writes).toBeGreaterThan(20);
    expect(await writer.lost()).toEqual([]);
    expect(await selfies.changed()).toEqual([]);
  });

  test('once more there is nothing to do, and a rollback before the end only ends it', async () => {
    const again = await plane.start({}, moving);
    const report = (await again.report()) as unknown as StorageVersionReport;
    expect({ outcome: report.outcome, passes: report.passes }).toEqual({ outcome: 'completed', passes: [] });
    const stopped = await plane.start({}, moving);
    await stopped.untilPhase('verify');
    await stopped.order('rollback');
    const end = (await stopped.report()) as unknown as StorageVersionReport;
    expect(end.outcome).toBe('stopped');
  });
});
