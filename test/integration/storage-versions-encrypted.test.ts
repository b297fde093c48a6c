import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type EncryptionContext } from '../../lab/encryption-configuration.ts';
import { waitFor } from '../../lab/wait.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { type StorageVersionReport } from '../../workflows/storage-version-migration.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, SOURCE_FORMAT, storedUnder, TARGET_FORMAT } from '../support/etcd.ts';
import { customResource, letKeyferryMove, movingTo } from '../support/storage-versions.ts';

jest.setTimeout(300_000);

const NOTES = 'notes.example.com';
const OBJECTS = 30;
const PATH = '/apis/example.com/v1/namespaces/default/notes';

/** The providers that the notes may begin under, and what of a lab they need. */
const UNDER = [
  {
    provider: 'aescbc',
    format: SOURCE_FORMAT,
    provided: ({ aescbcKey }: EncryptionContext) => ({
      aescbc: { keys: [{ name: 'key1', secret: aescbcKey }] },
    }),
    options: { vault: false, plugins: false },
  },
  {
    provider: 'kms v2',
    format: TARGET_FORMAT,
    provided: ({ endpoint }: EncryptionContext) => ({
      kms: { apiVersion: 'v2', name: 'vault', endpoint, timeout: '3s' },
    }),
    options: {},
  },
];

describe.each(UNDER)('a custom resource under $provider that no webhook converts', (under) => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;

  beforeAll(async () => {
    const encryptionConfiguration = (context: EncryptionContext): string =>
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'EncryptionConfiguration',
        resources: [{ resources: [NOTES], providers: [under.provided(context), { identity: {} }] }],
      });
    plane = cleanUp.keep(
      await ControlPlane.up({ reload: true, encryptionConfiguration, ...under.options }),
      (up) => up.down(),
    );
    const fields = { text: { type: 'string' } };
    await ask('POST', customResource.path, customResource.definition('notes', 'Note', { v1: fields }, 'v1'));
    await letKeyferryMove(plane, 'example.com', 'notes');
    for (const node of plane.lab.nodes) {
      await waitFor(
        { what: `notes to be served by ${node}`, timeoutMs: 60_000, intervalMs: 200 },
        async () => {
          const { status } = await plane.ask(node, 'GET', PATH);
          return status === 200;
        },
      );
    }
    for (let i = 0; i < OBJECTS; i += 1) {
      const metadata = { name: `note-${i}`, namespace: 'default' };
      const note = { apiVersion: 'example.com/v1', kind: 'Note', metadata, text: `note ${i}` };
      // An API server that is ready may not have its first key of the plugin yet, and then refuses what it would seal.
      await waitFor({ what: `note-${i} to be taken`, timeoutMs: 60_000 }, () => ask('POST', PATH, note));
    }
    const { spec } = customResource.definition('notes', 'Note', { v2: fields, v1: fields }, 'v2');
    await ask('PATCH', `${customResource.path}/${NOTES}`, { spec });
  });

  afterAll(() => cleanUp.run());

  async function ask(method: string, path: string, body?: object): Promise<string> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined;
    const { status, text } = await plane.ask('cp-1', method, path, body, type);
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return text;
  }

  async function formatsAtRest(): Promise<Record<string, number>> {
    return formats(await storedUnder(plane.lab, '/registry/example.com/notes/'));
  }

  test('without its keys nobody can tell the versions, and preflight says so', async () => {
    const document = plane.document({}, movingTo(NOTES, { encrypted: false }));
    const answer = await plane.cli(['preflight', '-f', document, '--json']);
    expect(answer.code).toBe(1);
    const { checks } = jsonOf(answer) as { checks: Check[] };
    const check = checks.find(({ name }) => name === `versions at rest of ${NOTES}`);
    expect(check?.outcome).toBe('fail');
    expect(check?.detail).toMatch(/^(\d+) of \1 values are encrypted/);
    expect(check?.remedy).toContain('spec.cluster.encryptionConfiguration');
  });

  test('with an agent on each node it is moved, verified and trimmed, and stays encrypted', async () => {
    const before = await formatsAtRest();
    expect(before).toEqual({ [under.format]: OBJECTS });
    const migration = await plane.start({}, movingTo(NOTES, { encrypted: true, gates: { trim: 'Auto' } }));
    const report = (await migration.report()) as unknown as StorageVersionReport;
    expect(report.outcome).toBe('completed');
    expect(report.before?.rows).toEqual([{ resource: NOTES, apiVersion: 'example.com/v1', count: OBJECTS }]);
    expect(report.after?.rows).toEqual([{ resource: NOTES, apiVersion: 'example.com/v2', count: OBJECTS }]);
    expect(report.resources).toEqual([
      { resource: NOTES, storageVersion: 'v2', storedBefore: ['v1', 'v2'], storedAfter: ['v2'] },
    ]);
    expect(await formatsAtRest()).toEqual(before);
    const { status } = JSON.parse(await ask('GET', `${customResource.path}/${NOTES}`)) as {
      status: { storedVersions: string[] };
    };
    expect(status.storedVersions).toEqual(['v2']);
    expect(JSON.parse(await ask('GET', `${PATH}/note-7`))).toMatchObject({ text: 'note 7' });
    const told = await plane.cli(['report', migration.workflowId]);
    expect(told.stdout).toContain('removed v1 from the stored versions of notes.example.com');
  });

  test('a version that would prune a field is not moved to', async () => {
    const { spec } = customResource.definition(
      'notes',
      'Note',
      { v3: { title: { type: 'string' } }, v2: { text: { type: 'string' } } },
      'v3',
    );
    await ask('PATCH', `${customResource.path}/${NOTES}`, { spec });
    await waitFor({ what: 'v3 to be served', timeoutMs: 60_000, intervalMs: 200 }, async () => {
      const answers = await Promise.all(
        plane.lab.nodes.map((node) => plane.ask(node, 'GET', PATH.replace('/v1/', '/v3/'))),
      );
      return answers.every(({ status }) => status === 200);
    });
    const document = plane.document({}, movingTo(NOTES, { encrypted: true }));
    const answer = await plane.cli(['preflight', '-f', document, '--json']);
    const { checks } = jsonOf(answer) as { checks: Check[] };
    const check = checks.find(({ name }) => name === `conversion of ${NOTES}`);
    expect(check?.outcome).toBe('fail');
    expect(check?.detail).toMatch(
      /default\/note-\d+ as example.com\/v2 through cp-1: .* loses or changes text/,
    );
  });
});
