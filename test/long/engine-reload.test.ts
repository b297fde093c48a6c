import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { etcdHttp, etcdUrls } from '../../lab/etcd.ts';
import { HttpClient } from '../../lab/http.ts';
import { Journal } from '../../lab/journal.ts';
import { type Progress } from '../../src/plan/progress.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, SOURCE_FORMAT, TARGET_FORMAT } from '../support/etcd.ts';

jest.setTimeout(1_800_000);

const OBJECTS = 1_500;
/** A changed file is taken up within a minute, by each API server, and looked for by canaries after that. */
const TAKEN_UP_MS = 400_000;

describe('the engine Etcd over an etcd that asks for certificates, with files taken up by reload', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;
  let report: MigrationReport;
  let paused: Record<string, number>[];
  let turned: { at: Progress; back: Progress; source: number };

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        reload: true,
        etcdTls: true,
        seed: { secrets: OBJECTS - 100, configMaps: 100 },
      }),
      (up) => up.down(),
    );
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 10, writers: 2 }), (one) => one.stop());
    const stored = async () => formats(await migratedValues(plane.lab));
    const migration = await plane.start({
      spec: { engine: 'Etcd', pace: { objectsPerSecond: 30, concurrency: 4, shards: 2 } },
    });
    await migration.until(
      'a part to be rewritten',
      ({ rewrite }) => rewrite.done > 0.2 * OBJECTS,
      TAKEN_UP_MS,
    );
    await migration.order('pause');
    await migration.until('the pause to hold', ({ state }) => state === 'paused');
    paused = [await stored()];
    // The API servers write on meanwhile; nobody else does.
    const { writes } = journal.progress();
    while (journal.progress().writes < writes + 50) await migration.progress();
    paused.push(await stored());

    await migration.order('resume');
    const at = await migration.until('half to be rewritten', ({ rewrite }) => rewrite.done > 0.5 * OBJECTS);
    await migration.order('rollback');
    const back = await migration.until(
      'a part to be rewritten back',
      ({ phase, rewrite }) => phase === 'rolling-back' && rewrite.rewritten > 0.1 * OBJECTS,
      TAKEN_UP_MS,
    );
    turned = { at, back, source: (await stored())[SOURCE_FORMAT] ?? 0 };
    await migration.order('forward');
    await migration.untilPhase('soak', 'waiting', 2 * TAKEN_UP_MS);
    await migration.order('approve cutover');
    await migration.untilPhase('cutover', 'waiting', TAKEN_UP_MS);
    await migration.order('approve cleanup');
    report = await migration.report();
    await journal.stop();
  });

  afterAll(() => cleanUp.run());

  test('etcd is asked by TLS only, and answers to nobody without a certificate', async () => {
    const { config, paths } = plane.lab;
    const [url = ''] = etcdUrls(config);
    expect(plane.lab.migrationSpec().spec['cluster']).toMatchObject({
      etcd: { endpoints: [url], tls: paths.etcd },
    });
    const answers = [
      new HttpClient(url.replace('https:', 'http:')),
      new HttpClient(url, { ca: readFileSync(paths.etcd.caFile, 'utf8') }),
      etcdHttp(config, url, 5_000),
    ].map(async (client) => {
      const { status } = await client.request('GET', '/version').finally(() => client.close());
      return status;
    });
    expect(await Promise.allSettled(answers)).toEqual([
      expect.objectContaining({ status: 'rejected' }),
      expect.objectContaining({ status: 'rejected' }),
      { status: 'fulfilled', value: 200 },
    ]);
  });

  test('while it is paused nothing of the source is rewritten', () => {
    const [before, after] = paused.map((formatsThen) => formatsThen[SOURCE_FORMAT]);
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(OBJECTS);
    expect(after).toBe(before);
  });

  test('it was rolled back amid rewriting, and forward amid rewriting back', () => {
    expect(turned.at).toMatchObject({ phase: 'rewrite', goal: 'target' });
    expect(turned.at.rewrite.done).toBeLessThan(OBJECTS);
    expect(turned.back).toMatchObject({ phase: 'rolling-back', goal: 'source' });
    expect(turned.source).toBeGreaterThan(0.1 * OBJECTS);
  });

  test('it completes without a restart of any API server', () => {
    expect(report.outcome).toBe('completed');
    expect(report.refusals).toEqual([]);
    expect(report.after?.inTarget).toBe(report.after?.objects);
    for (const node of plane.lab.nodes) {
      const log = readFileSync(plane.lab.paths.log(`${node}.apiserver`), 'utf8');
      expect(log.match(/Serving securely on/g)).toHaveLength(1);
    }
  });

  test('nothing is lost, nothing unreadable, and all is under the target', async () => {
    expect(await whatIsWrong(plane, journal, TARGET_FORMAT)).toEqual([]);
  });
});
