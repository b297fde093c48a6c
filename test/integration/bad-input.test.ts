import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { waitFor } from '../../lab/wait.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf, runCli, type CliAnswer } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, remove, store, storedUnder, TARGET_FORMAT } from '../support/etcd.ts';
import { makeReadOnly } from '../support/read-only.ts';

jest.setTimeout(200_000);

const NOBODY_LISTENS = '127.0.0.1:1';
const REFUSED = 'refuses-updates';
const POLICIES = '/apis/admissionregistration.k8s.io/v1';

/** A person must learn what happened and what to do, and a script by the exit code. */
function expectClearAnswer(answer: CliAnswer, code: number, ...said: (string | RegExp)[]): void {
  for (const words of said) {
    if (typeof words === 'string') expect(answer.stderr).toContain(words);
    else expect(answer.stderr).toMatch(words);
  }
  expect(answer.stderr).toMatch(/what to do: \S/);
  expect(answer.stderr).not.toMatch(/\n\s+at /);
  expect(answer.code).toBe(code);
}

describe('keyferry answers clearly', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 1, seed: { secrets: 60, configMaps: 10, large: 0 } }),
      (up) => up.down(),
    );
  });

  afterAll(() => cleanUp.run());

  /** The checks of a preflight that must fail, all that did not pass. */
  async function failedChecks(spec: Record<string, unknown> = {}): Promise<Check[]> {
    const answer = await plane.cli(['preflight', '-f', plane.document({ spec }), '--json']);
    expect(answer.code).toBe(1);
    const { checks, passed } = jsonOf(answer) as { checks: Check[]; passed: boolean };
    expect(passed).toBe(false);
    const failed = checks.filter(({ outcome }) => outcome === 'fail');
    for (const check of failed) expect(check.remedy).toMatch(/\S/);
    return failed;
  }

  /** Text that is written to a file beside the lab, and its path. */
  function file(name: string, text: string): string {
    const path = `${dirname(plane.lab.dir)}/${name}`;
    writeFileSync(path, text);
    return path;
  }

  const changedCluster = (change: object): Record<string, unknown> => ({
    cluster: { ...(plane.lab.migrationSpec().spec['cluster'] as object), ...change },
  });

  describe('to documents that are wrong', () => {
    test('an unknown provider, with its place and the known ones', async () => {
      const document = plane.document({ spec: { source: { rot13: { keyName: 'key1' } } } });
      expectClearAnswer(
        await plane.cli(['validate', '-f', document]),
        65,
        /:\d+:\d+ .*source.*rot13/,
        /identity.*aescbc.*secretbox/,
      );
    });

    test.each([
      ['a key that is not base64', 'not base64!', /base64/],
      ['a key of the wrong length', Buffer.alloc(17).toString('base64'), /17 bytes|length/],
    ])('an EncryptionConfiguration with %s, without repeating the key', async (_, key, why) => {
      const text = Object.values(plane.configurations())[0] ?? '';
      const path = file('broken.yaml', text.replace(plane.sourceKey(), key));
      const validated = await plane.cli(['encryption-config', 'validate', path]);
      expect(validated.code).toBe(65);
      expect(validated.stdout).toMatch(why);
      expect(validated.stdout).toContain('what to do:');
      const planned = await plane.cli(['plan', '-f', plane.document(), '--encryption-config', path]);
      expectClearAnswer(planned, 65);
      expect(validated.stdout + planned.stderr).not.toContain(key);
    });

    test('a target that is the source', async () => {
      const document = plane.document({ spec: { source: { kms: { name: 'vault' } } } });
      const answer = await plane.cli([
        'plan',
        '-f',
        document,
        '--encryption-config',
        plane.configurationFile('cp-1'),
      ]);
      expectClearAnswer(answer, 65, 'which is a rotation of its key, but secrets is written by aescbc');
    });
  });

  describe('where something can not be reached', () => {
    test('Temporal', async () => {
      const answer = await runCli(['status', '--temporal-address', NOBODY_LISTENS]);
      expectClearAnswer(answer, 69, `Temporal at ${NOBODY_LISTENS} can't be reached`);
    });

    test('etcd', async () => {
      const spec = changedCluster({ etcd: { endpoints: [`http://${NOBODY_LISTENS}`], prefix: '/registry' } });
      expect((await failedChecks(spec)).map(({ name }) => name)).toEqual([
        'etcd reachable',
        "etcd is this cluster's",
      ]);
      const census = await plane.cli(['census', '-f', plane.document({ spec })]);
      expectClearAnswer(census, 69, `etcd (http://${NOBODY_LISTENS}) did not answer`);
    });

    test('Vault, by a plugin that has not met it', async () => {
      await plane.lab.stopVault();
      try {
        // One that has goes on for a while with the local KEK that it has.
        await plane.lab.restart('cp-1.plugin');
        const failed = await failedChecks();
        expect(failed).toEqual([
          expect.objectContaining({ name: 'target plugin on cp-1', detail: expect.stringMatching(/vault/i) }),
        ]);
      } finally {
        await plane.lab.startVault();
      }
    });

    test('Vault with a token that it has revoked', async () => {
      const vault = plane.lab.vaultAdmin();
      const { token } = plane.lab.paths.vault;
      const revoked = readFileSync(token, 'utf8').trim();
      try {
        await vault.expect('POST', '/v1/auth/token/revoke', { token: revoked });
        await plane.lab.restart('cp-1.plugin');
        const failed = await failedChecks();
        expect(failed).toEqual([
          expect.objectContaining({
            name: 'target plugin on cp-1',
            detail: expect.stringMatching(/token|permission denied/i),
          }),
        ]);
        expect(JSON.stringify(failed)).not.toContain(revoked);
      } finally {
        const fresh = await vault.expect('POST', '/v1/auth/token/create-orphan', {
          policies: ['keyferry'],
          period: '1h',
        });
        writeFileSync(
          token,
          (JSON.parse(fresh.text) as { auth: { client_token: string } }).auth.client_token,
        );
        vault.close();
        await plane.lab.restart('cp-1.plugin');
      }
    });

    test('an agent, by the name of its node', async () => {
      await plane.lab.stop('cp-1.agent');
      try {
        const failed = await failedChecks();
        expect(failed).toContainEqual(
          expect.objectContaining({
            name: 'agent on cp-1',
            remedy: expect.stringContaining('keyferry agent --node cp-1'),
          }),
        );
      } finally {
        await plane.lab.start('cp-1.agent');
      }
    });
  });

  describe('where the cluster is not as the document says', () => {
    test('a source that only reads', async () => {
      const failed = await failedChecks({ source: { identity: {} } });
      expect(failed).toEqual([
        expect.objectContaining({
          name: 'configuration file on cp-1',
          detail: expect.stringContaining(
            'is written with aescbc key "key1", not with identity (no encryption), which only reads',
          ),
        }),
      ]);
    });

    test('a resource that is not served, of which keys are left in etcd', async () => {
      const spec = { resources: ['secrets', 'widgets.example.com'] };
      const named = 'resource widgets.example.com served';
      const keys = ['default/a', 'default/b'].map((name) => `/registry/example.com/widgets/${name}`);
      for (const key of keys) await store(plane.lab, key, Buffer.from('{}'));
      try {
        expect(await failedChecks(spec)).toContainEqual({
          name: named,
          outcome: 'fail',
          detail: expect.stringContaining('2 keys of it lie in etcd under /registry/example.com/widgets/'),
          remedy: expect.stringMatching(/CustomResourceDefinition.*etcdctl del/),
        });
      } finally {
        for (const key of keys) await remove(plane.lab, key);
      }
      expect((await failedChecks(spec)).map(({ name }) => name)).not.toContain(named);
    });

    test('a configuration that can not be written', async () => {
      const writable = await makeReadOnly(dirname(plane.configurationFile('cp-1')));
      if (writable === undefined) {
        console.warn('not tried: nothing here makes a folder unwritable for root');
        return;
      }
      try {
        expect(await failedChecks()).toEqual([
          expect.objectContaining({
            name: 'configuration file on cp-1',
            detail: expect.stringContaining("can't be written"),
          }),
        ]);
      } finally {
        await writable();
      }
    });
  });

  describe('when an object refuses to be rewritten', () => {
    const secret = `/api/v1/namespaces/seed-1/secrets/${REFUSED}`;

    /** Denies updates of one Secret, as a policy of the cluster's owner may. */
    const policy = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: 'keep.example.com' },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: [
            { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['secrets'] },
          ],
        },
        validations: [
          { expression: `object.metadata.name != '${REFUSED}'`, message: 'as it is, or not at all' },
        ],
      },
    };
    const binding = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: 'keep.example.com' },
      spec: { policyName: 'keep.example.com', validationActions: ['Deny'] },
    };

    async function untilUpdatesAnswer(status: number): Promise<void> {
      const update = { apiVersion: 'v1', kind: 'Secret', metadata: { name: REFUSED }, type: 'Opaque' };
      await waitFor(
        { what: `an update to answer ${status}`, timeoutMs: 60_000, intervalMs: 200 },
        async () => {
          return (await plane.ask('cp-1', 'PUT', `${secret}?dryRun=All`, update)).status === status;
        },
      );
    }

    test('the migration stops in verify, names it and why; resumed without the policy it completes', async () => {
      const made = { apiVersion: 'v1', kind: 'Secret', metadata: { name: REFUSED } };
      expect((await plane.ask('cp-1', 'POST', '/api/v1/namespaces/seed-1/secrets', made)).status).toBe(201);
      await plane.ask('cp-1', 'POST', `${POLICIES}/validatingadmissionpolicies`, policy);
      await plane.ask('cp-1', 'POST', `${POLICIES}/validatingadmissionpolicybindings`, binding);
      await untilUpdatesAnswer(422);

      const migration = await plane.start();
      const stopped = await migration.until('it to stop', ({ state }) => state === 'paused');
      expect(stopped.phase).toBe('verify');
      expect(stopped.waitingFor).toContain('1 object refused to be rewritten');
      expect(stopped.refusals).toEqual([
        {
          resource: 'secrets',
          namespace: 'seed-1',
          name: REFUSED,
          status: 422,
          reason: 'Invalid; denied by policy keep.example.com',
          remedy: expect.stringContaining('let policy keep.example.com admit'),
        },
      ]);
      expect(stopped.nextSteps).toContain('keyferry resume');
      const status = await plane.cli(['status', migration.workflowId]);
      expect(status.stdout).toContain(`secrets/seed-1/${REFUSED}: 422`);
      const approval = await migration.tell('approve cutover');
      expect(approval.code).toBe(77);

      await plane.ask('cp-1', 'DELETE', `${POLICIES}/validatingadmissionpolicybindings/keep.example.com`);
      await plane.ask('cp-1', 'DELETE', `${POLICIES}/validatingadmissionpolicies/keep.example.com`);
      await untilUpdatesAnswer(200);
      await migration.order('resume');
      await migration.untilPhase('soak', 'waiting');
      const values = await storedUnder(plane.lab, `/registry/secrets/seed-1/${REFUSED}`);
      expect(formats(values)).toEqual({ [TARGET_FORMAT]: 1 });
    });

    test('status answers even with no worker, with what there is to do; a message says that nobody took it', async () => {
      await plane.lab.stop('worker-1');
      const status = await plane.cli(['status'], { timeoutMs: 20_000 });
      expect(status.code).toBe(0);
      expect(status.stdout).toContain('no worker answers');
      expect(status.stdout).toContain('keyferry worker');
      const pause = await plane.cli(['pause']);
      expectClearAnswer(pause, 69, /no worker|not acknowledged/);
    });
  });
});
