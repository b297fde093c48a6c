import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { waitFor } from '../../lab/wait.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, SOURCE_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { histories } from '../support/temporal-contents.ts';

jest.setTimeout(900_000);

const SECRETS = 400;
const CONFIG_MAPS = 20;
const SERVED = '/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations';

interface Native {
  metadata: { name: string };
  spec: { resource: { resource: string } };
  status?: { resourceVersion?: string; conditions?: { type: string; status: string }[] };
}

describe('the engine StorageVersionMigration', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;
  let node: string;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        apiServers: 1,
        vault: false,
        plugins: false,
        controllerManager: true,
        seed: { secrets: SECRETS, configMaps: CONFIG_MAPS },
      }),
      (up) => up.down(),
    );
    [node = ''] = plane.lab.nodes;
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 10 }), (one) => one.stop());
  });

  afterAll(() => cleanUp.run());

  async function natives(): Promise<Native[]> {
    const { status, text } = await plane.ask(node, 'GET', SERVED);
    if (status !== 200) throw new Error(`${status}: ${text}`);
    return (JSON.parse(text) as { items: Native[] }).items;
  }

  async function untilNatives(what: string, fits: (all: Native[]) => boolean): Promise<Native[]> {
    // The API server is restarted meanwhile: what throws is asked again.
    return await waitFor({ what, timeoutMs: 120_000, intervalMs: 200 }, async () => {
      const all = await natives();
      return fits(all) && all;
    });
  }

  /** From one key of the lab to a new one. */
  async function start(
    from: string,
    to: string,
    engine = 'StorageVersionMigration',
  ): Promise<RunningMigration> {
    const secretFile = join(plane.lab.dir, to);
    writeFileSync(secretFile, randomBytes(32).toString('base64'), { mode: 0o600 });
    return await plane.start({
      name: `to-${to}`,
      spec: {
        engine,
        source: { aescbc: { keyName: from } },
        target: { aescbc: { keyName: to, secretFile } },
      },
    });
  }

  function formatOf(key: string): string {
    return `k8s:enc:aescbc:v1:${key}:`;
  }

  const ended = ({ status }: Native): boolean =>
    status?.conditions?.some((one) => ['Succeeded', 'Failed'].includes(one.type) && one.status === 'True') ===
    true;

  describe('with the kube-controller-manager of 1.36', () => {
    let report: MigrationReport;

    beforeAll(async () => {
      expect(formats(await migratedValues(plane.lab))).toEqual({ [SOURCE_FORMAT]: expect.any(Number) });
      const migration = await start('key1', 'key2');
      await untilNatives('one that is under way', (all) =>
        all.some((one) => one.status?.resourceVersion !== undefined && !ended(one)),
      );
      await migration.order('pause');
      await migration.until('a pause', ({ state }) => state === 'paused', 400_000);
      // What it had begun has ended by then, and what it had not is gone.
      expect((await natives()).filter((one) => !ended(one))).toEqual([]);
      await migration.order('resume');
      await migration.untilPhase('soak', 'waiting', 400_000);
      const names = (await natives()).map(({ metadata }) => metadata.name);
      expect(names.map((name) => name.replace(/^keyferry-to-key2-[0-9a-f]{8}-[0-9]+-/, '')).sort()).toEqual([
        'configmaps',
        'secrets',
      ]);
      report = await migration.finish();
    });

    test('it completes in one pass, and walks no shard itself', async () => {
      expect(report).toMatchObject({ outcome: 'completed', passes: [{ pass: 1, counts: { refused: 0 } }] });
      expect(report.passes[0]?.counts.rewritten).toBeGreaterThan(0);
      const walked = (await histories(plane.temporal)).filter(({ where }) =>
        where.startsWith('rewriteShard'),
      );
      expect(walked).toEqual([]);
    });

    test('the report keeps what the controller claimed, and that a census found it true', () => {
      expect(report.native).toHaveLength(2);
      for (const one of report.native ?? []) {
        expect(one).toMatchObject({
          apiVersion: 'storagemigration.k8s.io/v1beta1',
          outcome: 'Succeeded',
          resourceVersion: expect.stringMatching(/^[0-9]+$/),
          conditions: expect.arrayContaining([
            expect.objectContaining({
              type: 'Succeeded',
              status: 'True',
              reason: 'StorageVersionMigrationSucceeded',
            }),
          ]),
          left: 0,
        });
      }
    });

    test('preflight says who would carry it out, and what it can not do', () => {
      expect(report.checks).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ name: 'engine StorageVersionMigration served', outcome: 'pass' }),
          expect.objectContaining({ name: 'kube-controller-manager', outcome: 'pass' }),
          expect.objectContaining({ name: 'pause of the storage version migrator', outcome: 'warn' }),
        ]),
      );
    });

    test('cleanup removes what it had asked for', async () => {
      expect(await natives()).toEqual([]);
    });
  });

  describe.each([
    { engine: 'APIServer', from: 'key2', to: 'key3' },
    { engine: 'Etcd', from: 'key3', to: 'key4' },
  ])('the engine $engine after it', ({ engine, from, to }) => {
    test('moves everything from one key to the next as well', async () => {
      const migration = await start(from, to, engine);
      const { outcome, passes } = await migration.finish();
      expect({ outcome, passes }).toMatchObject({
        outcome: 'completed',
        passes: [{ counts: { refused: 0 } }],
      });
      expect(passes[0]?.counts.rewritten).toBeGreaterThanOrEqual(SECRETS + CONFIG_MAPS);
      const values = await migratedValues(plane.lab);
      expect(formats(values)).toEqual({ [formatOf(to)]: values.length });
    });
  });

  describe('with a controller that says Succeeded and rewrites nothing', () => {
    let report: MigrationReport;

    beforeAll(async () => {
      await plane.lab.stop('controller-manager');
      const migration = await start('key4', 'key5');
      await untilNatives('both', (all) => all.length === 2);
      const { shards } = await migration.until(
        'why nothing happens',
        (seen) => seen.shards.stalled.length > 0,
      );
      expect(shards.stalled.join()).toContain('waits for a controller');

      // What nobody has begun is taken away for a pause, and asked for again after it.
      await migration.order('pause');
      await migration.until('a pause', ({ state }) => state === 'paused', 120_000);
      expect(await natives()).toEqual([]);
      await migration.order('resume');

      for (const { metadata } of await untilNatives('both again', (all) => all.length === 2)) {
        const condition = { type: 'Succeeded', status: 'True', reason: 'StorageVersionMigrationSucceeded' };
        const lie = {
          status: { conditions: [{ ...condition, message: '', lastTransitionTime: new Date() }] },
        };
        const path = `${SERVED}/${metadata.name}/status`;
        const { status, text } = await plane.ask(node, 'PATCH', path, lie, 'application/merge-patch+json');
        expect({ status, text }).toMatchObject({ status: 200 });
      }
      report = await migration.finish();
      await journal.stop();
    });

    test('the census catches it, and the report says so', () => {
      const lied = (report.native ?? []).map(({ resource, outcome, left }) => ({ resource, outcome, left }));
      expect(lied).toHaveLength(2);
      for (const { outcome, left = 0 } of lied) {
        expect(outcome).toBe('Succeeded');
        expect(left).toBeGreaterThanOrEqual(CONFIG_MAPS);
      }
      const told = report.timeline.filter(({ what }) =>
        what.endsWith('left by the storage version migrator'),
      );
      expect(told).toHaveLength(2);
    });

    test('the engine APIServer finishes what was left', () => {
      expect(report.outcome).toBe('completed');
      expect(report.passes.map(({ pass }) => pass)).toEqual([1, 2]);
      expect(report.passes[1]?.counts.rewritten).toBeGreaterThanOrEqual(SECRETS);
    });

    test('nothing is lost, nothing unreadable, and all is under the target', async () => {
      expect(await whatIsWrong(plane, journal, formatOf('key5'))).toEqual([]);
    });
  });
});
