import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { waitFor } from '../../lab/wait.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { type StorageVersionReport } from '../../workflows/storage-version-migration.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { storedUnder } from '../support/etcd.ts';
import { admitUpdates, denyUpdates } from '../support/policy.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { customResource, letKeyferryMove, movingTo } from '../support/storage-versions.ts';

jest.setTimeout(300_000);

const OBJECTS = 30;
const PLURALS = ['notes', 'letters'] as const;
const [NOTES, LETTERS] = ['notes.example.com', 'letters.example.com'];
/** Of so many objects preflight tries every other one, from the first on, and this isn't one of them. */
const DENIED = 'letter-03';

/** Of two definitions in one specification one fails: what becomes of the other. */
describe('two custom resources in one StorageVersionMigration', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ vault: false, plugins: false, agents: false, reload: true }),
      (up) => up.down(),
    );
    const fields = { text: { type: 'string' } };
    for (const plural of PLURALS) {
      const kind = plural === 'notes' ? 'Note' : 'Letter';
      const define = (versions: Record<string, object>, storage: string) =>
        customResource.definition(plural, kind, versions, storage);
      await ask('POST', customResource.path, define({ v1: fields }, 'v1'));
      await letKeyferryMove(plane, 'example.com', plural);
      await onEveryNode(`${plural} to be served`, 'GET', pathOf(plural), 200);
      for (let i = 0; i < OBJECTS; i += 1) {
        const metadata = {
          name: `${kind.toLowerCase()}-${String(i).padStart(2, '0')}`,
          namespace: 'default',
        };
        await ask('POST', pathOf(plural), { apiVersion: 'example.com/v1', kind, metadata, text: `${i}` });
      }
      const { spec } = define({ v2: fields, v1: fields }, 'v2');
      await ask('PATCH', `${customResource.path}/${plural}.example.com`, { spec });
      await onEveryNode(`${plural} to be served as v2`, 'GET', pathOf(plural, 'v2'), 200);
    }
  });

  afterAll(() => cleanUp.run());

  function pathOf(plural: string, version = 'v1'): string {
    return `/apis/example.com/${version}/namespaces/default/${plural}`;
  }

  async function ask(method: string, path: string, body?: object): Promise<string> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined;
    const { status, text } = await plane.ask('cp-1', method, path, body, type);
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return text;
  }

  async function onEveryNode(what: string, method: string, path: string, wanted: number): Promise<void> {
    for (const node of plane.lab.nodes) {
      await waitFor({ what: `${what} by ${node}`, timeoutMs: 60_000, intervalMs: 200 }, async () => {
        const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined;
        const body = method === 'PATCH' ? {} : undefined;
        return (await plane.ask(node, method, path, body, type)).status === wanted;
      });
    }
  }

  /** The objects of a resource that lie in a version, as etcd's own bytes say. */
  async function lyingAs(plural: string, version: string): Promise<string[]> {
    const values = await storedUnder(plane.lab, `/registry/example.com/${plural}/`);
    return values
      .map(({ value }) => JSON.parse(value.toString()) as { apiVersion: string; metadata: { name: string } })
      .filter(({ apiVersion }) => apiVersion === `example.com/${version}`)
      .map(({ metadata }) => metadata.name);
  }

  async function storedVersions(name: string): Promise<string[]> {
    const { status } = JSON.parse(await ask('GET', `${customResource.path}/${name}`)) as {
      status: { storedVersions: string[] };
    };
    return status.storedVersions;
  }

  test('a third that nobody serves fails preflight, and nothing of the others is touched', async () => {
    const moving = movingTo([NOTES, 'ghosts.example.com', LETTERS], { encrypted: false });
    const answer = await plane.cli(['preflight', '-f', plane.document({}, moving), '--json']);
    expect(answer.code).toBe(1);
    const { checks } = jsonOf(answer) as { checks: Check[] };
    expect(checks.filter(({ outcome }) => outcome === 'fail')).toEqual([
      expect.objectContaining({ name: 'storage version of ghosts.example.com' }),
    ]);
    for (const plural of PLURALS) expect(await lyingAs(plural, 'v2')).toEqual([]);
  });

  test('an object of one that refuses holds the trim of both', async () => {
    const letters = { group: 'example.com', resource: 'letters' };
    await denyUpdates(plane, 'keep-a-letter', letters, `object.metadata.name != '${DENIED}'`);
    const update = `${pathOf('letters', 'v2')}/${DENIED}?dryRun=All`;
    await onEveryNode('the policy to be obeyed', 'PATCH', update, 422);

    migration = await plane.start({}, movingTo([NOTES, LETTERS], { encrypted: false }));
    const stopped = await migration.until('it to stop', ({ state }) => state === 'paused');
    expect(stopped.refusals).toEqual([
      expect.objectContaining({
        resource: LETTERS,
        name: DENIED,
        reason: 'Invalid; denied by policy keep-a-letter',
      }),
    ]);
    expect(await lyingAs('notes', 'v1')).toEqual([]);
    expect(await lyingAs('letters', 'v1')).toEqual([DENIED]);
    for (const name of [NOTES, LETTERS]) expect(await storedVersions(name)).toEqual(['v1', 'v2']);

    await admitUpdates(plane, 'keep-a-letter');
    await onEveryNode('updates to be admitted', 'PATCH', update, 200);
    await migration.order('resume');
    await migration.untilPhase('trim', 'waiting');
    expect(await lyingAs('letters', 'v1')).toEqual([]);
  });

  test('where the trim of one is denied, it is named, and that of the other stands', async () => {
    const definitions = { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions/status' };
    await denyUpdates(plane, 'keep-its-status', definitions, `object.metadata.name != '${LETTERS}'`);
    const update = `${customResource.path}/${LETTERS}/status?dryRun=All`;
    await onEveryNode('the policy to be obeyed', 'PATCH', update, 422);
    await migration.order('approve trim');
    const held = await migration.until('it to stop', ({ state }) => state === 'paused');
    expect(held.waitingFor).toContain(`denied by policy keep-its-status) for the definition ${LETTERS}`);
    expect(await storedVersions(NOTES)).toEqual(['v2']);
    expect(await storedVersions(LETTERS)).toEqual(['v1', 'v2']);

    await admitUpdates(plane, 'keep-its-status');
    await onEveryNode('updates to be admitted', 'PATCH', update, 200);
    await migration.order('resume');
    const report = (await migration.report()) as unknown as StorageVersionReport;
    expect(report.outcome).toBe('completed');
    expect(report.resources).toEqual(
      [NOTES, LETTERS].map((resource) => ({
        resource,
        storageVersion: 'v2',
        storedBefore: ['v1', 'v2'],
        storedAfter: ['v2'],
      })),
    );
    for (const name of [NOTES, LETTERS]) expect(await storedVersions(name)).toEqual(['v2']);
    const removed = report.timeline.filter(({ what }) => what.startsWith('removed v1'));
    expect(removed).toHaveLength(2);
  });
});
