import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { waitFor } from '../../lab/wait.ts';
import { judgeWaiver } from '../../src/census/waivers.ts';
import { Clusters, type Cluster } from '../../src/cluster/cluster.ts';
import { findResource, type Resource } from '../../src/cluster/resources.ts';
import { parseMigration } from '../../src/spec/load.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, remove, store, storedUnder, TARGET_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(400_000);

const SECRETS = '/api/v1/namespaces/default/secrets';
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const key = (name: string): string => `/registry/secrets/default/${name}`;

/** What lies under none of these can be mended or deleted by nobody but a person with etcdctl. */
const LOST = ['garbage', 'unknown-format', 'other-key'];

/**
 * All kinds of objects that can't be rewritten, in one migration: each is named with its reason and what leads out,
 * holds the cutover until it is mended or waived, and stops nothing else.
 */
describe('objects that refuse', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let cluster: Cluster;
  let secrets: Resource;
  let migration: RunningMigration;

  async function make(path: string, body: object, status = 201): Promise<void> {
    const answer = await plane.ask('cp-1', 'POST', path, { apiVersion: 'v1', ...body });
    expect(answer.status).toBe(status);
  }

  const secret = (name: string, more: object = {}, metadata: object = {}): object => ({
    kind: 'Secret',
    metadata: { name, ...metadata },
    stringData: { a: 'b' },
    ...more,
  });

  /** As big as the source's format lets it be: the target's takes more bytes of its own. */
  async function makeTooLarge(): Promise<void> {
    for (let size = 262_400; size > 260_000; size -= 100) {
      const answer = await plane.ask('cp-1', 'POST', CONFIG_MAPS, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: 'too-large',
          annotations: { a: 'x'.repeat(256 * 1024 - 1) },
          ownerReferences: [
            { apiVersion: 'v1', kind: 'ConfigMap', name: 'y'.repeat(size), uid: crypto.randomUUID() },
          ],
        },
        data: { a: 'z'.repeat(1024 * 1024 - 1) },
      });
      if (answer.status === 201) return;
      expect(answer.text).toContain('request is too large');
    }
    throw new Error('no size was small enough');
  }

  /** The migration waits for reloads, which take a minute each: a restart is as good, while everything can be read. */
  async function takeUpFiles(before: Record<string, string>): Promise<Record<string, string>> {
    await waitFor({ what: 'files to be edited', timeoutMs: 60_000, intervalMs: 100 }, () => {
      const now = plane.configurations();
      return Promise.resolve(plane.lab.nodes.every((node) => now[node] !== before[node]));
    });
    // Read before the restarts: the next edit comes as soon as the last server runs its file.
    const edited = plane.configurations();
    for (const node of plane.lab.nodes) await plane.lab.restartApiServer(node);
    return edited;
  }

  const stopped = async () =>
    await migration.until(
      'it to stop',
      ({ state, waitingFor }) => state === 'paused' && !waitingFor.startsWith('paused'),
    );

  async function untilPatchAnswers(path: string, status: number): Promise<void> {
    for (const node of plane.lab.nodes) {
      await waitFor(
        { what: `${node} to answer ${status} to an update`, timeoutMs: 60_000, intervalMs: 200 },
        async () => {
          const client = plane.lab.api(node);
          try {
            const change = { metadata: { annotations: { touched: randomBytes(4).toString('hex') } } };
            const patch = 'application/merge-patch+json';
            return (await client.request('PATCH', `${path}?dryRun=All`, change, patch)).status === status;
          } finally {
            client.close();
          }
        },
      );
    }
  }

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ reload: true, seed: { secrets: 60, configMaps: 10, large: 0 } }),
      (up) => up.down(),
    );
    const clusters = cleanUp.keep(new Clusters(), (open) => open.close());
    const { spec } = parseMigration(JSON.stringify(plane.lab.migrationSpec()), 'the lab');
    cluster = clusters.get(spec.cluster);
    const [server] = cluster.apiServers;
    if (server === undefined) throw new Error('a cluster without API servers');
    secrets = await findResource(server, 'secrets', '/registry');

    await make(SECRETS, secret('immutable', { immutable: true }));
    await make(SECRETS, secret('deleting', {}, { finalizers: ['example.com/hold'] }));
    expect((await plane.ask('cp-1', 'DELETE', `${SECRETS}/deleting`)).status).toBe(200);
    await make(SECRETS, secret('guarded', {}, { labels: { guarded: 'yes' } }));
    await make(SECRETS, secret('sealed'));
    await makeTooLarge();
    // As an older Kubernetes, with other rules, may have stored it; identity reads it.
    const invalid = { ...secret('invalid'), apiVersion: 'v1', type: 'kubernetes.io/tls' };
    await store(plane.lab, key('invalid'), Buffer.from(JSON.stringify(stored(invalid))));

    const before = plane.configurations();
    migration = await plane.start();
    const staged = await takeUpFiles(before);
    await migration.untilPhase('promote');
    await waitFor({ what: 'the target to write', timeoutMs: 60_000, intervalMs: 100 }, () => {
      const now = plane.configurations();
      return Promise.resolve(plane.lab.nodes.every((node) => now[node] !== staged[node]));
    });
    await migration.order('pause');
    await migration.until('the pause to hold', ({ state }) => state === 'paused');
    for (const node of plane.lab.nodes) await plane.lab.restartApiServer(node);

    // From here on no server can be restarted: over what it can't read it would never get ready.
    const [sealed] = await storedUnder(plane.lab, key('sealed'));
    if (sealed === undefined) throw new Error('nothing was sealed');
    const body = sealed.value.indexOf('key1:') + 'key1:'.length;
    const noise = randomBytes(sealed.value.length - body);
    await store(plane.lab, key('other-key'), Buffer.concat([sealed.value.subarray(0, body), noise]));
    await store(plane.lab, key('unknown-format'), Buffer.from('k8s:enc:rot13:v1:key1:frperg'));
    await store(plane.lab, key('garbage'), Buffer.concat([Buffer.from('k8s\0'), randomBytes(60)]));
    await store(plane.lab, '/registry/secrets/astray', sealed.value);
    await store(plane.lab, key('empty'), Buffer.alloc(0));
    await make(WEBHOOKS, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'nowhere' },
      webhooks: [
        {
          name: 'nowhere.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          timeoutSeconds: 1,
          failurePolicy: 'Fail',
          clientConfig: { url: 'https://127.0.0.1:1/' },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['secrets'] }],
          objectSelector: { matchLabels: { guarded: 'yes' } },
        },
      ],
    });
    await untilPatchAnswers(`${SECRETS}/guarded`, 500);
    await migration.order('resume');
  });

  afterAll(() => cleanUp.run());

  test('each is listed with its reason and what leads out, and the migration stops in verify', async () => {
    const { phase, refusals } = await stopped();
    expect(phase).toBe('verify');
    const listed = Object.fromEntries(
      refusals.map(({ name, status, reason, remedy }) => [name, { status, reason, remedy }]),
    );
    const lost = { remedy: expect.stringMatching(/backup.*etcdctl del.*keyferry waive/) };
    const nowhere = { status: 404, remedy: expect.stringContaining('etcdctl del') };
    expect(listed).toEqual({
      garbage: { status: 500, reason: expect.stringContaining('is no object'), ...lost },
      'unknown-format': {
        status: 500,
        reason: 'InternalError; no provider of the configuration opens it',
        ...lost,
      },
      'other-key': {
        status: 500,
        reason: expect.stringMatching(/no provider of the configuration opens it|is no object/),
        ...lost,
      },
      'too-large': {
        status: 500,
        reason: expect.stringContaining('too large for etcd once it is sealed'),
        remedy: expect.stringContaining('make it smaller'),
      },
      invalid: {
        status: 422,
        reason: 'Invalid; fields data[…]',
        remedy: expect.stringContaining('correct it'),
      },
      guarded: {
        status: 500,
        reason: 'InternalError; webhook nowhere.example.com did not answer',
        remedy: expect.stringContaining('bring the service behind webhook nowhere.example.com back'),
      },
      astray: { ...nowhere, reason: expect.stringContaining('no API server finds an object') },
      empty: { ...nowhere, reason: expect.stringContaining('no API server finds an object') },
    });
    for (const command of ['status', 'report']) {
      const { stdout } = await plane.cli([command, migration.workflowId]);
      expect(stdout).toContain('secrets/default/invalid: 422 Invalid; fields data[…]');
      expect(stdout).toMatch(/what to do: it fails the validation of today/);
    }
    expect((await migration.tell('approve cutover')).code).toBe(77);
  });

  test('all others were moved: an immutable one and one that is being deleted as well', async () => {
    const refusing = new Set([...LOST, 'too-large', 'invalid', 'guarded', 'astray', 'empty']);
    const values = (await migratedValues(plane.lab)).filter(
      ({ key: one }) => !refusing.has(one.slice(one.lastIndexOf('/') + 1)),
    );
    expect(values.length).toBeGreaterThan(70);
    expect(formats(values)).toEqual({ [TARGET_FORMAT]: values.length });
    expect(values.map(({ key: one }) => one)).toEqual(
      expect.arrayContaining([key('immutable'), key('deleting')]),
    );
  });

  test('only what is listed can be waived, and only with a reason', async () => {
    const unlisted = await migration.tell('waive secrets/default/immutable');
    expect(unlisted.code).toBe(77);
    expect(unlisted.stderr).toContain("isn't among the objects that refused");
    const silent = await plane.cli(['waive', 'secrets/default/garbage', migration.workflowId]);
    expect(silent.code).toBe(77);
    expect(silent.stderr).toContain('needs a reason');
  });

  test('while a plugin is dead, nothing shows that an object can not be read', async () => {
    const [node = ''] = plane.lab.nodes;
    await plane.lab.stop(`${node}.plugin`);
    try {
      // A server that was well a moment ago takes some seconds to miss its plugin.
      await waitFor({ what: 'the server to miss it', timeoutMs: 120_000, intervalMs: 500 }, async () => {
        return (await plane.ask(node, 'GET', '/readyz/kms-providers')).status !== 200;
      });
      const judged = judgeWaiver(cluster, secrets, { namespace: 'default', name: 'garbage' });
      await expect(judged).rejects.toMatchObject({ code: 'UnavailableKmsProviders', retryable: true });
    } finally {
      await plane.lab.start(`${node}.plugin`);
    }
    await waitFor({ what: 'the server to be well again', timeoutMs: 120_000, intervalMs: 500 }, async () => {
      return (await plane.ask(node, 'GET', '/readyz/kms-providers')).status === 200;
    });
  });

  test('what some API server can read is not waived, what none can read is', async () => {
    for (const name of ['invalid', ...LOST]) await migration.order(`waive secrets/default/${name}`);
    await migration.order('waive secrets/default/empty');
    const twice = await migration.tell('waive secrets/default/garbage');
    expect(twice.stderr).toContain('is waived already');
    await migration.order('resume');
    const { waivers, refusals } = await stopped();
    expect(waivers.map(({ name }) => name).sort()).toEqual([...LOST].sort());
    for (const waiver of waivers) {
      expect(waiver).toMatchObject({
        actor: 'tester',
        verified: true,
        reason: 'a test',
        proof: { key: key(waiver.name), found: expect.stringContaining('500') },
      });
    }
    expect(refusals.map(({ name }) => name).sort()).toEqual(
      ['astray', 'empty', 'guarded', 'invalid', 'too-large'].sort(),
    );
    const timeline = await migration.timeline();
    for (const name of ['invalid', 'empty']) {
      expect(timeline).toContainEqual(
        expect.objectContaining({
          what: `waiver of secrets/default/${name} refused`,
          reason: expect.stringContaining('can read it'),
        }),
      );
    }
  });

  test('mended one by one, they let it go on to the gate', async () => {
    const patch = { data: { 'tls.crt': 'YQ==', 'tls.key': 'YQ==' } };
    const client = plane.lab.api('cp-1');
    const mended = await client.request('PATCH', `${SECRETS}/invalid`, patch, 'application/merge-patch+json');
    client.close();
    expect(mended.status).toBe(200);
    expect((await plane.ask('cp-1', 'DELETE', `${CONFIG_MAPS}/too-large`)).status).toBe(200);
    expect((await plane.ask('cp-1', 'DELETE', `${WEBHOOKS}/nowhere`)).status).toBe(200);
    await untilPatchAnswers(`${SECRETS}/guarded`, 200);
    await remove(plane.lab, '/registry/secrets/astray');
    await remove(plane.lab, key('empty'));
    await migration.order('resume');
    const { refusals, waivers } = await migration.untilPhase('soak', 'waiting');
    expect(refusals).toEqual([]);
    expect(waivers).toHaveLength(LOST.length);
  });

  test('it completes, with the waivers in its report, and what was waived as it was', async () => {
    const report = await migration.finish();
    expect(report.outcome).toBe('completed');
    expect(report.waivers.map(({ name }) => name).sort()).toEqual([...LOST].sort());
    expect(report.after).toMatchObject({ unknown: 0, waived: LOST.length });
    expect(report.after?.inTarget).toBe(report.after?.objects);
    const { stdout } = await plane.cli(['report', migration.workflowId]);
    expect(stdout).toMatch(/waived +secrets\/default\/[a-z-]+: by tester, .*: a test \(found: 500/);
    const values = await storedUnder(plane.lab, key('unknown-format'));
    expect(values.map(({ value }) => value.toString())).toEqual(['k8s:enc:rot13:v1:key1:frperg']);
  });
});

/** A Secret with what an API server adds to it. */
function stored(body: Record<string, unknown>): object {
  const { stringData: _, metadata, ...rest } = body;
  return {
    ...rest,
    metadata: {
      ...(metadata as object),
      namespace: 'default',
      uid: crypto.randomUUID(),
      creationTimestamp: '2020-01-01T00:00:00Z',
    },
  };
}
