import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { type HttpAnswer } from '../../lab/http.ts';
import { seedObjects, verifyContent } from '../../lab/seed.ts';
import { waitFor } from '../../lab/wait.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, keepCompacting, migratedValues, storedUnder, TARGET_FORMAT } from '../support/etcd.ts';
import { startHammer, type Hammer } from '../support/hammer.ts';
import { MisbehavingTestDoublePlugin } from '../support/misbehaving-plugin.test-double.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(600_000);

const SECRETS = '/api/v1/secrets?limit=500';
const HAMMERED = Array.from({ length: 5 }, (_, i) => `hammered-${i + 1}`);

interface SecretList {
  readonly metadata: { readonly continue?: string };
  readonly items: readonly { readonly metadata: { readonly namespace: string; readonly name: string } }[];
}

/** What ended the migrations of others, each seen to be there, and outlived. */
describe('a migration of thousands of Secrets under the conditions that ended those of others', () => {
  const OBJECTS = Number(process.env['KNOWN_FAULTS_SECRETS'] ?? 1_500);
  const READ = Math.min(2_000, OBJECTS);
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let hammer: Hammer;
  let compactions = 0;
  let refusedTwice: MigrationReport;
  let notTakenUp: MigrationReport;
  let continued: HttpAnswer;
  let conflict: HttpAnswer;
  let frozen: unknown;
  let report: MigrationReport;

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up(), (up) => up.down());
    const { lab } = plane;

    const file = plane.configurationFile('cp-2');
    const original = readFileSync(file, 'utf8');
    // Another order of the same providers, as a node has it on which a step of a manual rotation was forgotten.
    writeFileSync(
      file,
      original.replace('resources: [secrets, configmaps]', 'resources: [configmaps, secrets]'),
    );
    await lab.restartApiServer('cp-2');
    refusedTwice = await (await plane.start()).report();
    writeFileSync(file, original);
    notTakenUp = await (await plane.start()).report();
    await lab.restartApiServer('cp-2');

    await seedObjects(lab, { secrets: OBJECTS, large: 0 });
    hammer = cleanUp.keep(await startHammer(lab, HAMMERED), (one) => one.stop());
    const { items, metadata } = JSON.parse((await plane.ask('cp-1', 'GET', SECRETS)).text) as SecretList;
    const stale = JSON.parse(
      (await plane.ask('cp-1', 'GET', `/api/v1/namespaces/default/secrets/${HAMMERED[0] ?? ''}`)).text,
    ) as object;
    expect(items).toHaveLength(500);
    const compacting = cleanUp.keep(keepCompacting(lab, 2_000), (one) => one.stop());

    const migration = await plane.start({
      spec: { pace: { objectsPerSecond: 200, concurrency: 32, shards: 4 } },
    });
    await migration.until('a third', ({ rewrite }) => rewrite.done > OBJECTS / 3);
    conflict = await plane.ask(
      'cp-1',
      'PUT',
      `/api/v1/namespaces/default/secrets/${HAMMERED[0] ?? ''}`,
      stale,
    );
    continued = await plane.ask('cp-1', 'GET', `${SECRETS}&continue=${metadata.continue ?? ''}`);
    await lab.freeze('cp-2.apiserver');
    // As long as keyferry waits for an answer.
    frozen = await plane.ask('cp-2', 'GET', '/readyz').catch((error: unknown) => error);
    await lab.thaw('cp-2.apiserver');
    report = await migration.finish();
    await hammer.stop();
    compactions = compacting.times;
    await compacting.stop();
  });

  afterAll(() => cleanUp.run());

  test("k3s#5933: the list's continue token expires on the way, and no Secret is left out", async () => {
    // The condition: whoever walks by pages of one LIST doesn't get to the end.
    expect(continued).toMatchObject({ status: 410, text: expect.stringContaining('Expired') });
    expect(compactions).toBeGreaterThan(20);

    expect(report.outcome).toBe('completed');
    expect(report.before?.objects).toBeGreaterThanOrEqual(OBJECTS);
    expect(report.after?.inTarget).toBe(report.after?.objects);
    const values = await migratedValues(plane.lab);
    expect(values.length).toBeGreaterThanOrEqual(OBJECTS);
    expect(formats(values)).toEqual({ [TARGET_FORMAT]: values.length });
    expect(await verifyContent(plane.lab, { limit: READ })).toEqual({
      checked: READ,
      missing: [],
      different: [],
      unreadable: [],
    });
  });

  test('k3s#6824: an object that is changed meanwhile answers 409, and ends nothing', async () => {
    // The condition: whoever writes back what was listed conflicts with the writer.
    expect(conflict.status).toBe(409);
    expect(hammer.writes).toBeGreaterThan(500);

    expect(report).toMatchObject({ outcome: 'completed', refusals: [] });
    expect(report.passes).toHaveLength(1);
    expect(await hammer.lost()).toEqual([]);
  });

  test('k3s#11384: requests that time out end no run, and nothing is begun anew', () => {
    // The condition: an API server that takes requests and answers none, for as long as a client waits.
    expect(String(frozen)).toContain('no answer');

    expect(report.outcome).toBe('completed');
    const [pass] = report.passes;
    const twice = (pass?.counts.examined ?? 0) - (report.after?.objects ?? 0);
    expect(twice).toBeLessThan(OBJECTS / 10);
  });

  test('k3s#13598: servers with different files are refused by name before anything is changed', () => {
    expect(refusedTwice.outcome).toBe('failed');
    expect(refusedTwice.checks.filter(({ outcome }) => outcome === 'fail')).toEqual([
      expect.objectContaining({
        name: 'configuration the same on every node',
        detail: expect.stringMatching(/cp-1 has sha256:\w+, cp-2 has sha256:\w+/),
      }),
    ]);
    expect(notTakenUp.outcome).toBe('failed');
    expect(notTakenUp.checks.filter(({ outcome }) => outcome === 'fail')).toEqual([
      expect.objectContaining({ name: 'configuration taken up by cp-2' }),
    ]);
  });
});

describe('a migration whose servers change under it', () => {
  const OBJECTS = 300;
  const OTHER_KEY_ID = 'test-double/other';
  const PACE = { objectsPerSecond: 10, concurrency: 2, shards: 1 };
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;

  const rewritten = async (part: number) =>
    await migration.until(`${part} of the objects`, ({ rewrite }) => rewrite.done > part * OBJECTS);
  const stoppedByItself = async () =>
    await migration.until(
      'it to stop by itself',
      ({ state, waitingFor }) => state === 'paused' && !waitingFor.startsWith('paused'),
    );

  const sealedUnderOther = async () =>
    (await storedUnder(plane.lab, '/registry/secrets/')).flatMap(({ key, value }) =>
      value.includes(OTHER_KEY_ID) ? [key] : [],
    );

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ seed: { secrets: OBJECTS, large: 0 } }), (up) => up.down());
    migration = await plane.start({ spec: { pace: PACE } });
    await rewritten(0.1);
  });

  afterAll(() => cleanUp.run());

  test('k3s#13598: a server that runs another file than it should holds the rewriting, by name', async () => {
    const file = plane.configurationFile('cp-2');
    const promoted = readFileSync(file, 'utf8');
    writeFileSync(file, `${promoted}# by hand\n`);
    await plane.lab.restartApiServer('cp-2');

    const held = await stoppedByItself();
    expect(['promote', 'rewrite']).toContain(held.phase);
    expect(held.rewrite.done).toBeLessThan(OBJECTS);
    expect(held.waitingFor).toMatch(/on cp-2 was changed by somebody else/);
    const changed = (await migration.timeline()).filter(({ what }) => what.endsWith('changed'));
    expect(changed).toEqual([
      expect.objectContaining({
        what: 'cp-2 changed',
        reason: expect.stringMatching(/cp-2 runs sha256:\w+ instead of sha256:\w+/),
      }),
    ]);

    writeFileSync(file, promoted);
    await plane.lab.restartApiServer('cp-2');
    await migration.order('resume');
    await rewritten(0.5);
  });

  test('kubernetes#138950: a key id that changes while healthz is not ok is found before cutover', async () => {
    const { lab } = plane;
    const socketOf = (node: string) => lab.paths.node(node).socket;
    await migration.order('pause');
    await migration.until('the pause to hold', ({ state }) => state === 'paused');
    await lab.stop('cp-2.plugin');
    const plugin = cleanUp.keep(
      await MisbehavingTestDoublePlugin.start(socketOf('cp-2'), socketOf('cp-1'), OTHER_KEY_ID),
      (one) => one.stop(),
    );

    // The condition: cp-2 says that it isn't well, and seals under what its plugin names all the same.
    let probes = 0;
    const wait = { what: 'cp-2 to seal under the other key id', timeoutMs: 120_000, intervalMs: 500 };
    await waitFor(wait, async () => {
      // Asked for its health, it asks its plugin.
      if ((await plane.ask('cp-2', 'GET', '/readyz')).status === 200) return false;
      const name = `probe-${++probes}`;
      const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name } };
      await plane.ask('cp-2', 'POST', '/api/v1/namespaces/default/secrets', body);
      const [stored] = await storedUnder(lab, `/registry/secrets/default/${name}`);
      return stored?.value.includes(OTHER_KEY_ID);
    });
    const probe = `/api/v1/namespaces/default/secrets/probe-${probes}`;
    expect((await plane.ask('cp-1', 'GET', probe)).status).toBe(500);

    await migration.order('resume');
    await migration.until('the other key id to be noticed', ({ apiServers }) =>
      apiServers.some(({ name, doubted }) => name === 'cp-2' && doubted),
    );
    const changed = (await migration.timeline()).findLast(({ what }) => what === 'cp-2 changed');
    expect(changed?.reason).toMatch(/^cp-2 was told another key id by its plugin for kms vault/);
    expect((await migration.tell('approve cutover')).code).toBe(77);

    // The plugin names the key of all others again, and still opens what it sealed. cp-1 can't.
    plugin.mend();
    expect((await sealedUnderOther()).length).toBeGreaterThan(0);
    const report = await migration.finish();
    expect(report.outcome).toBe('completed');
    const values = await migratedValues(lab);
    expect(formats(values)).toEqual({ [TARGET_FORMAT]: values.length });
    expect(await sealedUnderOther()).toEqual([]);
    expect((await plane.ask('cp-1', 'GET', probe)).status).toBe(200);
  });
});
