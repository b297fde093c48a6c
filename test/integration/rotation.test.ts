import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { CleanUp } from '../support/clean-up.ts';
import { TARGET_FORMAT } from '../support/etcd.ts';
import { LedVault } from '../support/led-vault.ts';

jest.setTimeout(600_000);

const SECRETS = '/api/v1/namespaces/default/secrets';
const STEPS = ['sealCanaries', 'proveReading', 'announceKey', 'proveWriting', 'rewriteShard'];

describe('a key of one kms entry that is rotated', () => {
  const cleanUp = new CleanUp();
  let led: LedVault;

  beforeAll(async () => {
    led = cleanUp.keep(await LedVault.up({ seed: { secrets: 150, configMaps: 20 } }), (up) => up.down());
  });

  afterAll(() => cleanUp.run());

  test('is rewritten back and forth by two API servers on different key ids, which preflight tells', async () => {
    const { plane } = led;
    expect(await led.versionsAtRest()).toEqual(['v1']);
    const { newestKeyId } = await led.ask('cp-1', (one) => one.versions());
    await led.ask('cp-1', (one) => one.announce(newestKeyId));
    // A process that starts asks its plugin at once; one that runs, within a minute.
    await plane.lab.restartApiServer('cp-1');
    await plane.ask('cp-1', 'POST', SECRETS, { metadata: { name: 'torn' }, stringData: { a: 'b' } });
    const revisions: string[] = [];
    for (const node of ['cp-2', 'cp-1', 'cp-2', 'cp-1']) revisions.push(await touched(node, 'torn'));
    expect(new Set(revisions).size).toBe(revisions.length);

    const document = plane.document({ name: 'rotation', spec: led.rotationSpec() });
    const warned = await plane.cli(['preflight', '-f', document, '--json']);
    expect(warned.stdout).toMatch(/plugins announce .*v2@[0-9]+ and .*v1@[0-9]+: their API servers rewrite/);
  });

  test('is rotated by keyferry, which brings them to one key id first: read everywhere, then announced everywhere, then rewritten', async () => {
    const { plane } = led;
    const files = plane.configurations();
    const journal = await Journal.start(plane.lab, { rate: 20 });
    const migration = await plane.start({ name: 'rotation', spec: led.rotationSpec() });
    const report = await migration.finish();
    await journal.stop();
    expect(report.outcome).toBe('completed');
    expect(await whatIsWrong(plane, journal, TARGET_FORMAT)).toEqual([]);
    const { writes, failed, refused } = journal.progress();
    expect({ written: writes > 0, failed, refused }).toEqual({ written: true, failed: {}, refused: {} });

    expect(await led.versionsAtRest()).toEqual(['v2']);
    expect(plane.configurations()).toEqual(files);
    // cp-1 has left the new version's first key id: both announce the next.
    expect(report.target).toMatch(/^kms vault, key id vault-transit:.*\/v2@[0-9]+;generation=2$/);
    for (const node of plane.lab.nodes) {
      const { announcedKeyId } = await led.ask(node, (one) => one.versions());
      expect(report.target).toBe(`kms vault, key id ${announcedKeyId}`);
    }
    expect(await stepsOf(migration.workflowId)).toEqual(STEPS);
  });

  test('is not rotated where the key service has no newer version', async () => {
    const document = led.plane.document({ name: 'rotation', spec: led.rotationSpec() });
    const refused = await led.plane.cli(['preflight', '-f', document, '--json']);
    expect(refused.code).not.toBe(0);
    expect(refused.stdout).toMatch(/the key service has no newer version/);
  });

  /** Writes an object as it is, by a PATCH that changes nothing. @returns its resource version afterwards */
  async function touched(node: string, name: string): Promise<string> {
    const path = `${SECRETS}/${name}`;
    const answer = await led.plane.ask(node, 'PATCH', path, {}, 'application/merge-patch+json');
    return (JSON.parse(answer.text) as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
  }

  /** What a rotation was made of, from its stage on: each step where it came first. */
  async function stepsOf(workflowId: string): Promise<string[]> {
    const { events } = await led.plane.temporal.workflow.getHandle(workflowId).fetchHistory();
    const names = (events ?? []).map(
      (event) =>
        event.activityTaskScheduledEventAttributes?.activityType?.name ??
        event.startChildWorkflowExecutionInitiatedEventAttributes?.workflowType?.name,
    );
    return [...new Set(names)].filter(
      (name) => name !== null && name !== undefined && STEPS.includes(name),
    ) as string[];
  }
});
