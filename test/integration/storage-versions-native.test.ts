import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { waitFor } from '../../lab/wait.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { type Progress } from '../../src/plan/progress.ts';
import { type StorageVersionReport } from '../../workflows/storage-version-migration.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { ConversionWebhook } from '../support/conversion-webhook.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { startSelfieWriter, type SelfieWriter } from '../support/selfie-writer.ts';
import { Selfies } from '../support/selfies.ts';
import { movingTo } from '../support/storage-versions.ts';

jest.setTimeout(600_000);

const OBJECTS = 60;
const SERVED = '/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations';
const POLICIES = '/apis/admissionregistration.k8s.io/v1';
/** A controller looks for kinds that it doesn't know yet twice a minute. */
const TAKE_UP_MS = 200_000;

interface Condition {
  type: string;
  status: string;
}

interface Native {
  metadata: { name: string };
  status?: { resourceVersion?: string; conditions?: Condition[] };
}

describe("a custom resource whose storage version the cluster's own migrator moves", () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let webhook: ConversionWebhook;
  let selfies: Selfies;
  let writer: SelfieWriter;
  let migration: RunningMigration;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        vault: false,
        plugins: false,
        agents: false,
        reload: true,
        controllerManager: true,
      }),
      (up) => up.down(),
    );
    webhook = cleanUp.keep(await ConversionWebhook.start(plane.lab), (one) => one.down());
    selfies = await Selfies.up(plane, webhook, OBJECTS);
  });

  afterAll(() => cleanUp.run());

  const moving = movingTo('selfierequests.stable.example.com', {
    encrypted: false,
    engine: 'StorageVersionMigration',
  });

  async function natives(): Promise<Native[]> {
    return (await selfies.ask('GET', SERVED))['items'] as Native[];
  }

  async function untilIt(what: string, fits: (progress: Progress) => boolean): Promise<Progress> {
    return await migration.until(what, fits, TAKE_UP_MS);
  }

  async function untilItStops(): Promise<Progress> {
    return await untilIt('it to stop', ({ state }) => state === 'paused');
  }

  async function reportOf(one: RunningMigration): Promise<StorageVersionReport> {
    return (await one.report()) as unknown as StorageVersionReport;
  }

  async function told(): Promise<string[]> {
    return (await migration.timeline()).map(({ what }) => what);
  }

  describe('with the kube-controller-manager of 1.36', () => {
    // Preflight tries every third of them.
    const victim = 'cr-031';

    test('preflight says that it will be trimmed before anything is proven', async () => {
      const answer = await plane.cli(['preflight', '-f', plane.document({}, moving), '--json']);
      const { checks } = jsonOf(answer) as { checks: Check[] };
      expect(answer.code).toBe(0);
      expect(checks.filter(({ outcome }) => outcome !== 'pass').map(({ name }) => name)).toEqual([
        'pause of the storage version migrator',
        'trim by the storage version migrator',
      ]);
      expect(checks.map(({ name }) => name)).toContain('engine StorageVersionMigration served');
    });

    test('a webhook that drops a field of one object stops it before the migrator is asked for anything', async () => {
      webhook.dropsFor = (name) => name === victim;
      migration = await plane.start({}, moving);
      const seen = await untilItStops();
      expect(seen.waitingFor).toContain("the cluster's own migrator was asked for nothing");
      expect(seen.refusals).toHaveLength(1);
      expect(seen.refusals[0]).toMatchObject({
        name: victim,
        reason: expect.stringContaining('loses or changes hostPort'),
      });
    });

    test('one that answers with an error, or is down, stops it as well', async () => {
      webhook.dropsFor = () => false;
      webhook.errsFor = (name) => name === victim;
      await migration.order('resume');
      const erring = await untilItStops();
      expect(erring.refusals.map(({ name }) => name)).toEqual([victim]);
      expect(erring.refusals[0]?.reason).toContain('answered with an error');
      webhook.errsFor = () => false;
      await webhook.down();
      await migration.order('resume');
      const down = await untilItStops();
      expect(down.refusals[0]?.reason).toContain('did not answer');
      await webhook.up();
    });

    test('up to then nothing was written, asked for or trimmed', async () => {
      expect(await selfies.lyingAs('v2')).toEqual([]);
      expect(await natives()).toEqual([]);
      expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
    });

    test('the migrator moves all, and what it trimmed is back until a person approves', async () => {
      writer = cleanUp.keep(await startSelfieWriter(plane.lab), (one) => one.stop());
      await migration.order('resume');
      await migration.untilPhase('trim', 'waiting', 2 * TAKE_UP_MS);
      expect(await selfies.lyingAs('v1')).toEqual([]);
      expect(await told()).toContain('put v1 back among the stored versions of ' + selfies.resource);
      expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
      await migration.order('approve trim');
      const report = await reportOf(migration);
      expect(await selfies.storedVersions()).toEqual(['v2']);
      expect(report).toMatchObject({
        outcome: 'completed',
        resources: [{ storedBefore: ['v1', 'v2'], storedAfter: ['v2'] }],
        passes: [{ pass: 1, counts: { refused: 0 } }],
        native: [{ outcome: 'Succeeded', resource: selfies.resource, left: 0 }],
      });
      expect(report.passes[0]?.counts.rewritten).toBeGreaterThan(OBJECTS / 2);
      expect(await natives()).toEqual([]);
      const shown = await plane.cli(['report', migration.workflowId]);
      expect(shown.stdout).toContain('Succeeded');
    });

    test('nothing that anybody wrote is lost, by either version', async () => {
      await writer.stop();
      expect(writer.writes).toBeGreaterThan(20);
      expect(await writer.lost()).toEqual([]);
      expect(await selfies.changed()).toEqual([]);
    });
  });

  describe('with one that fails at an object, and trims all the same', () => {
    let report: StorageVersionReport;

    beforeAll(async () => {
      await selfies.store('v1');
      await refuseForOthersThanKeyferry('cr-015');
      migration = await plane.start({}, moving);
      await migration.untilPhase('trim', 'waiting', 2 * TAKE_UP_MS);
      expect(await selfies.storedVersions()).toEqual(['v2', 'v1']);
      await migration.order('approve trim');
      report = await reportOf(migration);
    });

    /** What keyferry tries is admitted, what the migrator writes isn't. */
    async function refuseForOthersThanKeyferry(name: string): Promise<void> {
      const metadata = { name: 'refuse' };
      await selfies.ask('POST', `${POLICIES}/validatingadmissionpolicies`, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata,
        spec: {
          failurePolicy: 'Fail',
          matchConstraints: {
            resourceRules: [
              {
                apiGroups: ['stable.example.com'],
                apiVersions: ['*'],
                operations: ['UPDATE'],
                resources: ['selfierequests'],
              },
            ],
          },
          validations: [
            {
              expression: `request.userInfo.username == 'keyferry' || object.metadata.name != '${name}'`,
              message: 'refused for a test',
            },
          ],
        },
      });
      await selfies.ask('POST', `${POLICIES}/validatingadmissionpolicybindings`, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata,
        spec: { policyName: metadata.name, validationActions: ['Deny'] },
      });
      const path = `/apis/stable.example.com/v2/namespaces/default/selfierequests/${name}`;
      for (const node of plane.lab.nodes) {
        await waitFor({ what: 'the policy to be asked', timeoutMs: 60_000, intervalMs: 200 }, async () => {
          const type = 'application/merge-patch+json';
          const { status } = await plane.ask(node, 'PATCH', `${path}?dryRun=All`, {}, type);
          return status === 422;
        });
      }
    }

    test('the old version is put back among the stored ones, and the API servers finish what is left', async () => {
      expect(report).toMatchObject({
        outcome: 'completed',
        native: [{ outcome: 'Failed', left: expect.any(Number) }],
        passes: [{ pass: 1 }, { pass: 2, counts: { refused: 0 } }],
      });
      expect(report.native?.[0]?.left).toBeGreaterThan(0);
      const timeline = report.timeline.map(({ what }) => what);
      expect(timeline).toContain('put v2 back among the stored versions of ' + selfies.resource);
      expect(timeline.filter((what) => what.endsWith('left by the storage version migrator'))).toHaveLength(
        1,
      );
      expect(await selfies.lyingAs('v2')).toEqual([]);
      expect(await selfies.storedVersions()).toEqual(['v1']);
      expect(await selfies.changed()).toEqual([]);
    });
  });

  describe('with one that says Succeeded, trims, and has rewritten nothing', () => {
    let name: string;

    async function say(...conditions: [type: string, status: string][]): Promise<void> {
      const status = {
        conditions: conditions.map(([type, value]) => ({
          type,
          status: value,
          reason: 'Lie',
          message: '',
          lastTransitionTime: new Date(),
        })),
      };
      await selfies.ask('PATCH', `${SERVED}/${name}/status`, { status });
    }

    test('its end is waited for until it has put it away, which trims', async () => {
      await plane.lab.stop('controller-manager');
      await selfies.store('v2');
      migration = await plane.start({}, moving);
      const [native] = await waitFor(
        { what: 'what is asked for', timeoutMs: 120_000, intervalMs: 200 },
        async () => {
          const all = await natives();
          return all.length > 0 && all;
        },
      );
      name = native?.metadata.name ?? '';
      await say(['Running', 'True'], ['Succeeded', 'True']);
      const { shards } = await untilIt('it to wait', (seen) =>
        seen.shards.stalled.join().includes('to put it away'),
      );
      expect(shards.done).toBe(0);
      expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
    });

    test('an old version that has left the definition meanwhile stops it, and is told', async () => {
      await selfies.setStoredVersions(['v2']);
      await selfies.dropV1();
      await say(['Running', 'False'], ['Succeeded', 'True']);
      const { waitingFor } = await untilItStops();
      expect(waitingFor).toContain(`v1 left spec.versions of ${selfies.resource}`);
      expect(waitingFor).toContain('add it to spec.versions again');
      expect((await selfies.lyingAs('v1')).length).toBeGreaterThanOrEqual(OBJECTS);
    });

    test('once it is there again it is put back, a census finds what was left, and the API servers move it', async () => {
      await selfies.store('v2');
      await migration.order('resume');
      await migration.untilPhase('trim', 'waiting', TAKE_UP_MS);
      expect(await selfies.storedVersions()).toEqual(['v1', 'v2']);
      expect(await selfies.lyingAs('v1')).toEqual([]);
      await migration.order('approve trim');
      const report = await reportOf(migration);
      expect(report).toMatchObject({
        outcome: 'completed',
        native: [{ outcome: 'Succeeded' }],
        passes: [{ pass: 1, counts: { rewritten: 0 } }, { pass: 2 }],
      });
      expect(report.native?.[0]?.left).toBeGreaterThanOrEqual(OBJECTS);
      expect(await selfies.storedVersions()).toEqual(['v2']);
      expect(await selfies.changed()).toEqual([]);
    });
  });
});
