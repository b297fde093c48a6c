import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type EncryptionContext } from '../../lab/encryption-configuration.ts';
import { Journal } from '../../lab/journal.ts';
import { TRANSIT_KEY, TRANSIT_MOUNT, vaultAdmin } from '../../lab/vault.ts';
import { RotationClient } from '../../src/kms-plugin/rotation-client.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { migratedValues, TARGET_FORMAT } from '../support/etcd.ts';
import { waitFor } from '../../lab/wait.ts';

jest.setTimeout(600_000);

const SECRETS = '/api/v1/namespaces/default/secrets';

/** A cluster that is encrypted with Vault from the beginning, by plugins that announce a new version only when told. */
describe('a key of one kms entry that is rotated', () => {
  const cleanUp = new CleanUp();
  const ledgers = mkdtempSync(join(tmpdir(), 'kf-ledgers-'));
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        seed: { secrets: 150, configMaps: 20 },
        encryptionConfiguration: encryptedByVault,
        pluginSettings: { key: (node) => ({ rotation: { ledger: join(ledgers, `${node}.json`) } }) },
      }),
      (up) => up.down(),
    );
    const vault = vaultAdmin(plane.lab.config);
    try {
      await vault.expect('POST', `/v1/${TRANSIT_MOUNT}/keys/${TRANSIT_KEY}/rotate`, {});
    } finally {
      vault.close();
    }
    await waitFor({ what: 'both plugins to see the new version', timeoutMs: 90_000 }, async () => {
      const seen = await Promise.all(plane.lab.nodes.map((node) => asked(node, (one) => one.versions())));
      return seen.every(({ announcedKeyId, newestKeyId }) => newestKeyId !== announcedKeyId);
    });
  });

  afterAll(async () => {
    await cleanUp.run();
    rmSync(ledgers, { recursive: true, force: true });
  });

  test('is rewritten back and forth by two API servers on different key ids, which preflight tells', async () => {
    expect(await versionsAtRest()).toEqual(['v1']);
    const { newestKeyId } = await asked('cp-1', (one) => one.versions());
    await asked('cp-1', (one) => one.announce(newestKeyId));
    // A process that starts asks its plugin at once; one that runs, within a minute.
    await plane.lab.restartApiServer('cp-1');
    await plane.ask('cp-1', 'POST', SECRETS, { metadata: { name: 'torn' }, stringData: { a: 'b' } });
    const revisions: string[] = [];
    for (const node of ['cp-2', 'cp-1', 'cp-2', 'cp-1']) revisions.push(await touched(node, 'torn'));
    expect(new Set(revisions).size).toBe(revisions.length);

    const warned = await plane.cli(['preflight', '-f', rotationDocument(), '--json']);
    expect(warned.stdout).toMatch(/plugins announce .*v2@[0-9]+ and .*v1@[0-9]+: their API servers rewrite/);
  });

  test('is rotated by keyferry, which brings them to one key id first: read everywhere, then announced everywhere, then rewritten', async () => {
    const files = plane.configurations();
    const journal = await Journal.start(plane.lab, { rate: 20 });
    const migration = await plane.start({ name: 'rotation', spec: rotationSpec() });
    const report = await migration.finish();
    await journal.stop();
    expect(report.outcome).toBe('completed');
    expect(await whatIsWrong(plane, journal, TARGET_FORMAT)).toEqual([]);
    const { writes, failed, refused } = journal.progress();
    expect({ written: writes > 0, failed, refused }).toEqual({ written: true, failed: {}, refused: {} });

    expect(await versionsAtRest()).toEqual(['v2']);
    expect(plane.configurations()).toEqual(files);
    // cp-1 has left the new version's first key id: both announce the next.
    expect(report.target).toMatch(/^kms vault, key id vault-transit:.*\/v2@[0-9]+;generation=2$/);
    for (const node of plane.lab.nodes) {
      const { announcedKeyId } = await asked(node, (one) => one.versions());
      expect(report.target).toBe(`kms vault, key id ${announcedKeyId}`);
    }
    expect(await activitiesOf(migration.workflowId)).toEqual([
      'sealCanaries',
      'proveReading',
      'announceKey',
      'proveWriting',
      'rewrite',
    ]);
  });

  test('is not rotated where the key service has no newer version', async () => {
    const refused = await plane.cli(['preflight', '-f', rotationDocument(), '--json']);
    expect(refused.code).not.toBe(0);
    expect(refused.stdout).toMatch(/the key service has no newer version/);
  });

  async function asked<T>(node: string, question: (client: RotationClient) => Promise<T>): Promise<T> {
    const client = new RotationClient(`unix://${plane.lab.paths.node(node).socket}`);
    try {
      return await question(client);
    } finally {
      client.close();
    }
  }

  /** Writes an object as it is, by a PATCH that changes nothing. @returns its resource version afterwards */
  async function touched(node: string, name: string): Promise<string> {
    const answer = await plane.ask(node, 'PATCH', `${SECRETS}/${name}`, {}, 'application/merge-patch+json');
    return (JSON.parse(answer.text) as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
  }

  /** The versions of the key that values in etcd lie under; no code of keyferry's is asked. */
  async function versionsAtRest(): Promise<string[]> {
    const values = await migratedValues(plane.lab);
    const versions = values.map(({ value }) => /\/(v[0-9]+)@[0-9]+/.exec(value.toString('latin1'))?.[1]);
    return [...new Set(versions.map(String))].sort();
  }

  /** What a rotation is made of, in the order of its first steps. */
  async function activitiesOf(workflowId: string): Promise<string[]> {
    const { events } = await plane.temporal.workflow.getHandle(workflowId).fetchHistory();
    const names = (events ?? []).flatMap((event) => {
      const activity = event.activityTaskScheduledEventAttributes?.activityType?.name;
      if (typeof activity === 'string') return [activity];
      return event.startChildWorkflowExecutionInitiatedEventAttributes?.workflowType?.name === 'rewriteShard'
        ? ['rewrite']
        : [];
    });
    const told = ['sealCanaries', 'proveReading', 'announceKey', 'proveWriting', 'rewrite'];
    const promoted = names.slice(names.indexOf('sealCanaries'));
    return [...new Set(promoted.filter((name) => told.includes(name)))];
  }

  function rotationSpec(): Record<string, unknown> {
    const endpoint = `unix://${plane.lab.paths.node('{node}').socket}`;
    return {
      source: { kms: { name: 'vault' } },
      target: { kms: { name: 'vault', endpoint } },
      rotation: { steadyFor: '2s' },
    };
  }

  function rotationDocument(): string {
    return plane.document({ name: 'rotation', spec: rotationSpec() });
  }
});

function encryptedByVault({ endpoint }: EncryptionContext): string {
  return `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - kms: { apiVersion: v2, name: vault, endpoint: "${endpoint}", timeout: 3s }
`;
}
