import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { etcdUrls } from '../../lab/etcd.ts';
import { type MigrationDocument } from '../../lab/migration-spec.ts';
import { activeNamespaces } from '../../src/cluster/admission.ts';
import { Clusters } from '../../src/cluster/cluster.ts';
import { parseMigration } from '../../src/spec/load.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, outdateAll, SOURCE_FORMAT, TARGET_FORMAT } from '../support/etcd.ts';
import { EtcdRelay, type AskedPage } from '../support/etcd-relay.ts';
import { restartAs } from '../support/own-server.ts';
import { expectAllUnder, expectReadable } from '../support/whole.ts';

jest.setTimeout(600_000);

/** More than keyferry lists at once of what it reads. */
const SECRETS = 560;
const OBJECTS = SECRETS + 40;
/** More than a page of a list that keyferry takes from an API server. */
const NAMESPACES = 520;
/** Without snapshots in memory, that outlive a compaction by some seconds, an API server answers as etcd does. */
const NO_SNAPSHOTS = ['--feature-gates=ListFromCacheSnapshot=false'];
const OTHER_FORMAT = 'k8s:enc:aescbc:v1:key2:';

interface ListPage {
  readonly metadata?: { readonly continue?: string };
}

/**
 * A client that lists Secrets as Kubernetes offers it, a page at each `step`. Where the list has expired it goes on by the token
 * that the refusal has, in what there is by then: so it may miss what changed in between.
 */
class Pager {
  /** What each token that it went on with was answered. */
  readonly answers: number[] = [];
  readonly #plane: ControlPlane;
  #next: string | undefined;

  constructor(plane: ControlPlane) {
    this.#plane = plane;
  }

  async step(): Promise<void> {
    try {
      if (this.#next !== undefined) {
        const { status, text } = await this.#page(this.#next);
        this.answers.push(status);
        this.#next = (JSON.parse(text) as ListPage).metadata?.continue;
      }
      const { text } = await this.#page(this.#next);
      this.#next = (JSON.parse(text) as ListPage).metadata?.continue;
    } catch {
      // The API server is being restarted.
      this.#next = undefined;
    }
  }

  async #page(token = '') {
    return await this.#plane.ask('cp-1', 'GET', `/api/v1/secrets?limit=20&continue=${token}`);
  }
}

/** k3s#5933, at its worst: there, one token that expired ended a migration with thousands of Secrets left out. */
describe('while etcd is compacted after every page that keyferry lists', () => {
  const cleanUp = new CleanUp();
  const pages: AskedPage[] = [];
  let plane: ControlPlane;
  let pager: Pager;
  let etcd: EtcdRelay;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ seed: { secrets: SECRETS, configMaps: OBJECTS - SECRETS, large: 0 } }),
      (up) => up.down(),
    );
    await restartAs(plane.lab.dir, 'cp-1', { flags: NO_SNAPSHOTS });
    pager = new Pager(plane);
    let before = Promise.resolve();
    const [member = ''] = etcdUrls(plane.lab.config);
    etcd = cleanUp.keep(
      await EtcdRelay.to(member, async (page) => {
        // One after another: between two pages of the client there is a compaction.
        before = before.then(async () => {
          pages.push(page);
          await outdateAll(plane.lab);
          await pager.step();
        });
        await before;
      }),
      (one) => one.stop(),
    );
  });

  afterAll(() => cleanUp.run());

  function throughPages({ spec, ...document }: MigrationDocument): MigrationDocument {
    const cluster = spec['cluster'] as { etcd: object };
    return {
      ...document,
      spec: { ...spec, cluster: { ...cluster, etcd: { ...cluster.etcd, endpoints: [etcd.url] } } },
    };
  }

  const secretFile = () => join(plane.lab.dir, 'key2');
  describe.each([
    { engine: 'APIServer', from: SOURCE_FORMAT, to: TARGET_FORMAT, sides: () => ({}) },
    {
      engine: 'Etcd',
      from: TARGET_FORMAT,
      to: OTHER_FORMAT,
      sides: () => ({
        source: { kms: { name: 'vault' } },
        target: { aescbc: { keyName: 'key2', secretFile: secretFile() } },
      }),
    },
  ])('a migration by the engine $engine', ({ engine, from, to, sides }) => {
    let before: string[];
    let report: MigrationReport;

    beforeAll(async () => {
      writeFileSync(secretFile(), randomBytes(32).toString('base64'), { mode: 0o600 });
      const values = await migratedValues(plane.lab);
      expect(formats(values)).toEqual({ [from]: values.length });
      before = values.map(({ key }) => key);
      pages.length = 0;
      pager.answers.length = 0;
      const migration = await plane.start(
        {
          name: `expired-${engine.toLowerCase()}`,
          spec: {
            engine,
            ...sides(),
            pace: { objectsPerSecond: 0, concurrency: 8, shards: 2 },
            verify: { reads: 'All' },
          },
        },
        throughPages,
      );
      report = await migration.finish();
    });

    test('is one in which no token of a list can be used for another page', () => {
      expect(pager.answers.length).toBeGreaterThan(20);
      expect(pager.answers.filter((status) => status !== 410)).toEqual([]);
      // Of keys: the walk, the reads. Of values: the census.
      expect(pages.filter(({ keysOnly }) => keysOnly).length).toBeGreaterThan(5);
      expect(pages.filter(({ keysOnly }) => !keysOnly).length).toBeGreaterThan(5);
    });

    test('completes in one pass', () => {
      expect(report).toMatchObject({ outcome: 'completed', refusals: [], reads: { failed: 0 } });
      expect(report.passes).toHaveLength(1);
      expect(report.passes[0]?.counts.examined).toBeGreaterThanOrEqual(before.length);
    });

    test('leaves nothing out, by what lies in etcd', async () => {
      await expectAllUnder(plane, to);
      const after = new Set((await migratedValues(plane.lab)).map(({ key }) => key));
      expect(before.filter((key) => !after.has(key))).toEqual([]);
      expect(before.length).toBeGreaterThanOrEqual(OBJECTS);
      await expectReadable(plane, OBJECTS);
    });

    test('has counted and read every object', () => {
      for (const census of [report.before, report.after])
        expect(census?.objects).toBeGreaterThanOrEqual(before.length);
      expect(report.after?.inTarget).toBe(report.after?.objects);
      expect(report.reads?.read).toBeGreaterThanOrEqual(2 * before.length);
    });
  });

  test('the namespaces that preflight tries updates in are all told, though a token expires', async () => {
    const names = Array.from({ length: NAMESPACES }, (_, i) => `listed-${i}`);
    for (let at = 0; at < NAMESPACES; at += 40) {
      await Promise.all(
        names.slice(at, at + 40).map(async (name) => {
          const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
          const { status } = await plane.ask('cp-1', 'POST', '/api/v1/namespaces', body);
          expect(status).toBe(201);
        }),
      );
    }
    const clusters = cleanUp.keep(new Clusters(), (all) => all.close());
    const { spec } = parseMigration(JSON.stringify(plane.lab.migrationSpec()), 'the lab');
    const [server] = clusters.get(spec.cluster).apiServers;
    if (server === undefined) throw new Error('the lab has API servers');
    const request = server.request.bind(server);
    const answers: number[] = [];
    jest.spyOn(server, 'request').mockImplementation(async (asked) => {
      const response = await request(asked);
      answers.push(response.status);
      await outdateAll(plane.lab);
      return response;
    });
    const told = new Set((await activeNamespaces(server)).map(({ name }) => name));
    expect(answers).toEqual([200, 410, 200]);
    expect(names.filter((name) => !told.has(name))).toEqual([]);
  });
});
