import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { renameSync, writeFileSync } from 'node:fs';
import { parseDocument, type YAMLSeq } from 'yaml';
import { waitFor } from '../../lab/wait.ts';
import { readObjects } from '../../src/census/reads.ts';
import { Clusters, type Cluster } from '../../src/cluster/cluster.ts';
import { findResource } from '../../src/cluster/resources.ts';
import { parseMigration } from '../../src/spec/load.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, SOURCE_FORMAT, storedUnder, store } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(400_000);

const SECRETS = '/api/v1/namespaces/default/secrets';
const NEEDY = 'needs-the-source';
const KEY = `/registry/secrets/default/${NEEDY}`;

/**
 * The trap: an API server answers a LIST from its watch cache, with 200, over objects that no key opens any more.
 * Whoever takes that for proof lets the key go, and loses them.
 */
describe('when the source key is gone while an object needs it', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let cluster: Cluster;
  let migration: RunningMigration;
  let promoted: Record<string, string>;

  /** As an operator would by hand, on every node. */
  function replaceFiles(textOf: (node: string) => string): void {
    for (const node of plane.lab.nodes) {
      const file = plane.configurationFile(node);
      writeFileSync(`${file}.new`, textOf(node));
      renameSync(`${file}.new`, file);
    }
  }

  /** Until every API server answers so to a read, having taken the file up by itself. */
  async function untilReadsAnswer(status: number): Promise<void> {
    for (const node of plane.lab.nodes) {
      const wait = { what: `${node} to answer ${status}`, timeoutMs: 150_000, intervalMs: 500 };
      await waitFor(
        wait,
        async () => (await plane.ask(node, 'GET', `${SECRETS}/${NEEDY}`)).status === status,
      );
    }
  }

  beforeAll(async () => {
    // Servers that reload by themselves, and a migration that restarts them, for that is faster.
    plane = cleanUp.keep(
      await ControlPlane.up({ reload: true, seed: { secrets: 60, configMaps: 10, large: 0 } }),
      (up) => up.down(),
    );
    const clusters = cleanUp.keep(new Clusters(), (open) => open.close());
    const document = plane.lab.migrationSpec();
    const { spec } = parseMigration(JSON.stringify(document), 'the lab');
    cluster = clusters.get(spec.cluster);
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: NEEDY }, stringData: { a: 'b' } };
    expect((await plane.ask('cp-1', 'POST', SECRETS, body)).status).toBe(201);
    const [before] = await storedUnder(plane.lab, KEY);
    if (before === undefined) throw new Error(`nothing at ${KEY}`);

    const { encryptionConfiguration, ...rest } = document.spec['cluster'] as Record<string, object>;
    migration = await plane.start({
      spec: {
        cluster: { ...rest, encryptionConfiguration: { ...encryptionConfiguration, takeUp: 'Restart' } },
      },
    });
    await migration.untilPhase('verify');
    await migration.order('pause');
    await migration.until('the pause to hold', ({ state }) => state === 'paused');

    // A value that was sealed before the swap, and lands late.
    await store(plane.lab, KEY, before.value);
    promoted = plane.configurations();
    replaceFiles((node) => withoutAescbc(promoted[node] ?? ''));
    await untilReadsAnswer(500);
  });

  afterAll(() => cleanUp.run());

  test('every API server is ready, lists the object with 200, and can not read it', async () => {
    expect(formats(await storedUnder(plane.lab, KEY))).toEqual({ [SOURCE_FORMAT]: 1 });
    for (const node of plane.lab.nodes) {
      const list = await plane.ask(node, 'GET', SECRETS);
      expect(list.status).toBe(200);
      expect(list.text).toContain(NEEDY);
      expect((await plane.ask(node, 'GET', '/readyz')).status).toBe(200);
      expect((await plane.ask(node, 'GET', `${SECRETS}/${NEEDY}`)).status).toBe(500);
    }
  });

  test('reading by name fails through every API server, and says for which object', async () => {
    const [server] = cluster.apiServers;
    if (server === undefined) throw new Error('a cluster without API servers');
    const secrets = await findResource(server, 'secrets', '/registry');
    const objects = [{ namespace: 'default', name: NEEDY }];
    const { signal } = new AbortController();
    const result = await readObjects(cluster.apiServers, secrets, objects, signal, () => undefined);
    expect(result).toMatchObject({ read: plane.lab.nodes.length, failed: plane.lab.nodes.length });
    const named = {
      resource: 'secrets',
      namespace: 'default',
      name: NEEDY,
      status: 500,
      reason: expect.stringContaining('no provider of the configuration opens it'),
      remedy: expect.stringContaining('restore it'),
    };
    expect(result.failures).toHaveLength(plane.lab.nodes.length);
    for (const apiServer of plane.lab.nodes) expect(result.failures).toContainEqual({ ...named, apiServer });
  });

  test('a census says no, and names it', async () => {
    const answer = await plane.cli(['census', '-f', plane.document(), '--json']);
    expect(answer.code).toBe(1);
    expect(jsonOf(answer)).toMatchObject({
      outsideExamples: [{ resource: 'secrets', namespace: 'default', name: NEEDY }],
    });
  });

  test('the migration stops over the files that were changed, shows how without a key, and overwrites none', async () => {
    const theirs = plane.configurations();
    await migration.order('resume');
    const stopped = await migration.until(
      'it to stop',
      ({ state, waitingFor }) => state === 'paused' && !waitingFor.startsWith('paused'),
    );
    expect(stopped.waitingFor).toContain('was changed by somebody else');
    // Against the nearest of keyferry's own edits.
    expect(stopped.waitingFor).toMatch(/^@@[^]*^[-+] /m);
    expect(stopped.waitingFor).toContain('put back what was there');
    for (const text of Object.values(promoted)) {
      const key = /secret: (\S+)/.exec(text)?.[1] ?? '';
      expect(key).not.toBe('');
      expect(JSON.stringify([stopped, await migration.timeline()])).not.toContain(key);
    }
    expect(plane.configurations()).toEqual(theirs);
    const approval = await migration.tell('approve cutover');
    expect(approval.code).toBe(77);
    expect((await storedUnder(plane.lab, KEY)).length).toBe(1);
  });

  test('once the key is back, resume brings the object over and verifies', async () => {
    replaceFiles((node) => promoted[node] ?? '');
    for (const node of plane.lab.nodes) await plane.lab.restartApiServer(node);
    await migration.order('resume');
    await migration.untilPhase('soak', 'waiting');
    expect(formats(await storedUnder(plane.lab, KEY))).not.toHaveProperty(SOURCE_FORMAT);
    expect((await plane.cli(['census', '-f', plane.document()])).code).toBe(0);
  });
});

/** The file as it would be without its local key, before its time. */
function withoutAescbc(text: string): string {
  const document = parseDocument(text);
  const providers = document.getIn(['resources', 0, 'providers']) as YAMLSeq;
  const at = (providers.toJSON() as object[]).findIndex((provider) => 'aescbc' in provider);
  if (at === -1) throw new Error('the file has no aescbc any more');
  providers.delete(at);
  return document.toString();
}
