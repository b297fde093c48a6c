import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, TARGET_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder, expectReadable } from '../support/whole.ts';

jest.setTimeout(600_000);

const OBJECTS = 600;
const LISTED = ['cp-1', 'cp-2'];
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';

describe('a migration whose API servers change while it rewrites', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;
  let report: MigrationReport;
  /** The file of the second server as it was in stage. */
  let staged: string;

  /** Takes an API server away for good. */
  async function remove(node: string): Promise<void> {
    await plane.lab.stop(`${node}.apiserver`);
    const { text } = await plane.ask(
      'cp-1',
      'GET',
      `${LEASES}?labelSelector=kubernetes.io%2Fhostname%3D${node}`,
    );
    for (const { metadata } of (JSON.parse(text) as { items: { metadata: { name: string } }[] }).items)
      await plane.ask('cp-1', 'DELETE', `${LEASES}/${metadata.name}`);
  }

  async function whatHappened(): Promise<string[]> {
    return (await migration.timeline()).map(({ what, reason = '' }) => `${what}: ${reason}`);
  }

  async function rewriting(part: number): Promise<void> {
    await migration.until(
      `a part of ${part} to be rewritten`,
      ({ phase, rewrite }) => phase === 'rewrite' && rewrite.done >= part * OBJECTS,
    );
  }

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 3, seed: { secrets: OBJECTS - 50, configMaps: 50 } }),
      (up) => up.down(),
    );
    if (plane.lab.config.apiServerOptions.ownHostName.length === 0)
      throw new Error('API servers on one machine are told apart by their host names: this needs unshare');
    await remove('cp-3');
    const { cluster } = plane.lab.migrationSpec().spec as { cluster: { apiServers: { name: string }[] } };
    const apiServers = cluster.apiServers.filter(({ name }) => LISTED.includes(name));
    migration = await plane.start({
      spec: {
        cluster: { ...cluster, apiServers },
        pace: { objectsPerSecond: 30, concurrency: 4, shards: 2 },
      },
    });
    await migration.until('the second server to read the target', ({ apiServers }) =>
      apiServers.every(({ mayRun }) => mayRun.join() === 'target-reads'),
    );
    staged = readFileSync(plane.configurationFile('cp-2'), 'utf8');
  });

  afterAll(() => cleanUp.run());

  test('goes on after a restart, once the new process has proven what the old one had', async () => {
    await rewriting(0.1);
    await plane.lab.restartApiServer('cp-2');
    await expectSoon(async () => expect(await whatHappened()).toContain('cp-2 changed: cp-2 was restarted'));
    await rewriting(0.2);
  });

  test('stops rewriting while an API server lives that is not listed, and names it', async () => {
    // Whoever adds a node copies the file of another.
    const copied = readFileSync(plane.configurationFile('cp-1'), 'utf8').replaceAll('/cp-1/', '/cp-3/');
    writeFileSync(plane.configurationFile('cp-3'), copied);
    await plane.lab.start('cp-3.apiserver');
    const { phase, waitingFor } = await migration.until('the stranger to hold it up', (seen) =>
      seen.waitingFor.includes("that the migration doesn't know"),
    );
    expect(phase).not.toBe('cutover');
    expect(waitingFor).toMatch(/cp-3 \(Lease apiserver-\w+\); stop it until the migration is over/);
    const before = formats(await migratedValues(plane.lab));
    await migration.until('another look at it', ({ waitingSince = 0 }) => Date.now() - waitingSince > 11_000);
    expect(formats(await migratedValues(plane.lab))).toEqual(before);
    await remove('cp-3');
    await rewriting(0.5);
  });

  test('brings a server back to its file that was restarted with an old one, and only then goes on', async () => {
    const file = plane.configurationFile('cp-2');
    expect(readFileSync(file, 'utf8')).not.toBe(staged);
    writeFileSync(`${file}.old`, staged);
    renameSync(`${file}.old`, file);
    await plane.lab.restartApiServer('cp-2');
    await expectSoon(async () =>
      expect((await whatHappened()).join('\n')).toMatch(
        /cp-2 changed: cp-2 runs sha256:\w+ instead of sha256:\w+/,
      ),
    );
    report = await migration.finish();
  });

  test('completes, with every object under the target and readable through each server', async () => {
    expect(report.outcome).toBe('completed');
    await expectAllUnder(plane, TARGET_FORMAT);
    await expectReadable(plane, OBJECTS, LISTED);
  });
});

/** Tries until it holds. */
async function expectSoon(check: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
