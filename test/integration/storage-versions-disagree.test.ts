import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { etcdUrls } from '../../lab/etcd.ts';
import { waitFor } from '../../lab/wait.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { type StorageVersionReport } from '../../workflows/storage-version-migration.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { EtcdRelay } from '../support/etcd-relay.ts';
import { storedUnder } from '../support/etcd.ts';
import { restartAs } from '../support/own-server.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { customResource, letKeyferryMove, movingTo } from '../support/storage-versions.ts';

jest.setTimeout(400_000);

const NOTES = 'notes.example.com';
const OBJECTS = 20;
const PATH = '/apis/example.com/v1/namespaces/default/notes';
const FIELDS = { text: { type: 'string' } };

/** Each API server stores by what its own watch has told it of a definition, whatever the others know by now. */
describe('while an API server has not seen that a definition stores another version now', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let relay: EtcdRelay;
  let migration: RunningMigration;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ vault: false, plugins: false, agents: false, reload: true }),
      (up) => up.down(),
    );
    const [member = ''] = etcdUrls(plane.lab.config);
    relay = cleanUp.keep(await EtcdRelay.to(member), (one) => one.stop());
    await restartAs(plane.lab.dir, 'cp-2', { etcdUrls: [relay.url] });
    await ask('cp-1', 'POST', customResource.path, definition('v1'));
    await letKeyferryMove(plane, 'example.com', 'notes');
    for (const node of plane.lab.nodes) {
      await waitFor(
        { what: `notes to be served by ${node}`, timeoutMs: 60_000, intervalMs: 200 },
        async () => (await plane.ask(node, 'GET', PATH)).status === 200,
      );
    }
    for (let i = 0; i < OBJECTS; i += 1) await write('cp-1', `note-${i}`);
    relay.holdWatches();
    await storeAs('v2');
    await untilWritesLieAs('cp-1', 'v2');
  });

  afterAll(() => cleanUp.run());

  function definition(storage: string) {
    return customResource.definition('notes', 'Note', { v2: FIELDS, v1: FIELDS }, storage);
  }

  async function ask(node: string, method: string, path: string, body?: object): Promise<string> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined;
    const { status, text } = await plane.ask(node, method, path, body, type);
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return text;
  }

  /** Changes the definition; each API server follows when it hears of it. */
  async function storeAs(version: string): Promise<void> {
    await ask('cp-1', 'PATCH', `${customResource.path}/${NOTES}`, { spec: definition(version).spec });
  }

  async function write(node: string, name: string): Promise<void> {
    const metadata = { name, namespace: 'default' };
    await ask(node, 'POST', PATH, {
      apiVersion: 'example.com/v1',
      kind: 'Note',
      metadata,
      text: `of ${name}`,
    });
  }

  let writes = 0;
  async function untilWritesLieAs(node: string, version: string): Promise<void> {
    await waitFor({ what: `${node} to store ${version}`, timeoutMs: 60_000, intervalMs: 200 }, async () => {
      const name = `probe-${++writes}`;
      await write(node, name);
      return (await lyingAs(version)).includes(name);
    });
  }

  /** The names of the objects that lie in a version, as etcd's own bytes say. */
  async function lyingAs(version: string): Promise<string[]> {
    const values = await storedUnder(plane.lab, '/registry/example.com/notes/');
    return values
      .map(({ value }) => JSON.parse(value.toString()) as { apiVersion: string; metadata: { name: string } })
      .filter(({ apiVersion }) => apiVersion === `example.com/${version}`)
      .map(({ metadata }) => metadata.name);
  }

  async function storedVersions(): Promise<string[]> {
    const { status } = JSON.parse(await ask('cp-1', 'GET', `${customResource.path}/${NOTES}`)) as {
      status: { storedVersions: string[] };
    };
    return status.storedVersions;
  }

  test('it goes on to store the old one, and preflight refuses, by its name', async () => {
    await write('cp-2', 'by-cp-2');
    expect(await lyingAs('v1')).toContain('by-cp-2');
    const moving = movingTo(NOTES, { encrypted: false });
    const answer = await plane.cli(['preflight', '-f', plane.document({}, moving), '--json']);
    expect(answer.code).toBe(1);
    const { checks } = jsonOf(answer) as { checks: Check[] };
    expect(checks.filter(({ outcome }) => outcome === 'fail')).toEqual([
      expect.objectContaining({
        name: `storage version of ${NOTES}`,
        detail: `it is to be example.com/v2, but cp-2 stores ${NOTES} as example.com/v1`,
      }),
    ]);
  });

  test('one that is started waits until it has seen it', async () => {
    migration = await plane.start({}, movingTo(NOTES, { encrypted: false }));
    const waiting = await migration.until('it to wait for cp-2', ({ waitingFor }) =>
      waitingFor.includes(`cp-2 stores ${NOTES} as example.com/v1`),
    );
    expect(waiting.phase).toBe('preflight');
    relay.releaseWatches();
    await migration.untilPhase('trim', 'waiting');
    expect(await lyingAs('v1')).toEqual([]);
    expect(await storedVersions()).toEqual(['v1', 'v2']);
  });

  test('nothing is trimmed where it is so only after the census, whatever was approved', async () => {
    await storeAs('v1');
    await untilWritesLieAs('cp-2', 'v1');
    relay.holdWatches();
    await storeAs('v2');
    await untilWritesLieAs('cp-1', 'v2');
    await migration.order('approve trim');
    const waiting = await migration.until('it to wait for cp-2', ({ waitingFor }) =>
      waitingFor.includes(
        `every API server to store the new version: cp-2 stores ${NOTES} as example.com/v1`,
      ),
    );
    expect(waiting.phase).toBe('verify');
    await write('cp-2', 'after-the-census');
    expect(await lyingAs('v1')).toContain('after-the-census');
    expect(await storedVersions()).toEqual(['v1', 'v2']);

    relay.releaseWatches();
    const report = (await migration.report()) as unknown as StorageVersionReport;
    expect(report.outcome).toBe('completed');
    expect(report.passes).toHaveLength(2);
    expect(report.timeline).toContainEqual(
      expect.objectContaining({
        what: 'verifies again',
        reason: `cp-2 stores ${NOTES} as example.com/v1`,
      }),
    );
    expect(await lyingAs('v1')).toEqual([]);
    expect(await storedVersions()).toEqual(['v2']);
    for (const node of plane.lab.nodes) {
      expect(JSON.parse(await ask(node, 'GET', `${PATH}/after-the-census`))).toMatchObject({
        text: 'of after-the-census',
      });
    }
  });

  test('one that does not answer is waited for, too', async () => {
    await storeAs('v1');
    await untilWritesLieAs('cp-2', 'v1');
    const back = await plane.start({}, movingTo(NOTES, { encrypted: false }));
    await back.untilPhase('trim', 'waiting');
    await plane.lab.freeze('cp-2.apiserver');
    await back.order('approve trim');
    await back.until('it to wait for cp-2', ({ waitingFor }) =>
      /every API server to store the new version: .*cp-2.* did not answer/.test(waitingFor),
    );
    expect(await storedVersions()).toEqual(['v2', 'v1']);
    await plane.lab.thaw('cp-2.apiserver');
    const report = (await back.report()) as unknown as StorageVersionReport;
    expect(report.outcome).toBe('completed');
    expect(await lyingAs('v2')).toEqual([]);
    expect(await storedVersions()).toEqual(['v1']);
  });
});
