import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { etcdUrls } from '../../lab/etcd.ts';
import { writeConfig } from '../../lab/config.ts';
import { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { sealKmsV2 } from '../../src/envelope/kms-v2.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { store, storedUnder } from '../support/etcd.ts';

jest.setTimeout(300_000);

const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const WIDGETS = 'widgets.example.com';
const NOWHERE = { url: 'https://127.0.0.1:1/' };
const GUARD = 'keyferry.example.com/guard';
const MEBIBYTE = 1024 ** 2;

/** A probe of a preflight that died in between. */
const LEFT = '/registry/secrets/seed-2/keyferry-probe-0123456789abcdef';

describe('preflight', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;

  beforeAll(async () => {
    // Unencrypted at first: a server without a configuration can then be started too.
    const encryptionConfiguration = (): string =>
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'EncryptionConfiguration',
        resources: [{ resources: ['secrets', 'configmaps', WIDGETS], providers: [{ identity: {} }] }],
      });
    plane = cleanUp.keep(
      await ControlPlane.up({ encryptionConfiguration, seed: { secrets: 60, configMaps: 12, large: 0 } }),
      (up) => up.down(),
    );
    await make(CRDS, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: WIDGETS },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
        versions: ['v1', 'v2'].map((name) => ({
          name,
          served: true,
          storage: name === 'v1',
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        })),
      },
    });
    const rule = {
      apiGroups: ['example.com'],
      resources: ['widgets'],
      verbs: ['get', 'patch', 'create', 'delete'],
    };
    await make(`${RBAC}/clusterroles`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'widgets' },
      rules: [rule],
    });
    await make(`${RBAC}/clusterrolebindings`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'widgets' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'widgets' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'keyferry' }],
    });
    for (const [i, guard] of ['down', 'lenient', 'strict'].entries()) {
      await change(`/api/v1/namespaces/seed-${i + 1}`, { metadata: { labels: { [GUARD]: guard } } });
      const here = { namespace: `seed-${i + 1}`, name: 'there' };
      await make(`/api/v1/namespaces/${here.namespace}/secrets`, secret(here));
    }
    const widgets = '/apis/example.com/v1/namespaces/default/widgets';
    const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'there' } };
    await onEveryNode('widgets to be served', async (node) => {
      const { status } = await plane.ask(node, 'GET', `${widgets}/there`);
      if (node === 'cp-1' && status === 404) await plane.ask(node, 'POST', widgets, widget);
      return status === 200;
    });
  });

  afterAll(() => cleanUp.run());

  function secret(metadata: { namespace: string; name: string }): object {
    return { apiVersion: 'v1', kind: 'Secret', metadata };
  }

  async function make(path: string, body: object): Promise<void> {
    const { status, text } = await plane.ask('cp-1', 'POST', path, body);
    if (status !== 201) throw new Error(`POST ${path} answered ${status}: ${text}`);
  }

  async function change(path: string, patch: object): Promise<void> {
    const api = plane.lab.api('cp-1');
    const { status, text } = await api.request('PATCH', path, patch, 'application/merge-patch+json');
    api.close();
    if (status !== 200) throw new Error(`PATCH ${path} answered ${status}: ${text}`);
  }

  async function onEveryNode(what: string, fits: (node: string) => Promise<boolean>): Promise<void> {
    for (const node of plane.lab.nodes) {
      await waitFor({ what: `${what} by ${node}`, timeoutMs: 60_000, intervalMs: 200 }, () => fits(node));
    }
  }

  /** Runs preflight as users do, and answers with its checks by name. */
  async function preflight(
    code: number,
    spec: Record<string, unknown> = {},
  ): Promise<{ checks: Map<string, Check>; others: (outcome: Check['outcome']) => string[] }> {
    const document = plane.document({
      spec: { resources: ['secrets', 'configmaps', WIDGETS], source: { identity: {} }, ...spec },
    });
    const answer = await plane.cli(['preflight', '-f', document, '--json']);
    if (answer.code !== code) throw new Error(`exit code ${answer.code}: ${answer.stdout}${answer.stderr}`);
    const { checks } = jsonOf(answer) as { checks: Check[] };
    for (const check of checks) {
      if (check.outcome !== 'pass') expect(check).toMatchObject({ remedy: expect.stringMatching(/\S/) });
    }
    expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
    return {
      checks: new Map(checks.map((check) => [check.name, check])),
      others: (outcome) => checks.filter((check) => check.outcome === outcome).map(({ name }) => name),
    };
  }

  async function leftOvers(): Promise<string[]> {
    const all = await Promise.all(
      ['secrets', 'configmaps', 'example.com/widgets'].map((path) =>
        storedUnder(plane.lab, `/registry/${path}/`),
      ),
    );
    return all.flat().flatMap(({ key }) => (key.includes('/keyferry-') ? [key] : []));
  }

  function onSecrets(operations: string[], guard: string): object {
    const rule = { apiGroups: [''], apiVersions: ['v1'], operations, resources: ['secrets'] };
    return { rules: [rule], namespaceSelector: { matchLabels: { [GUARD]: guard } } };
  }

  async function makePolicy(
    name: string,
    expression: string,
    resources: string[],
    guard: string,
  ): Promise<void> {
    const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources };
    await make(`${ADMISSION}/validatingadmissionpolicies`, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: {
        matchConstraints: {
          resourceRules: [rule],
          namespaceSelector: { matchLabels: { [GUARD]: guard } },
        },
        validations: [{ expression }],
      },
    });
    await make(`${ADMISSION}/validatingadmissionpolicybindings`, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    });
  }

  /** What an update of a namespace's own Secret answers, as a dry run. */
  async function updateOf(node: string, namespace: string): Promise<number> {
    const path = `/api/v1/namespaces/${namespace}/secrets/there?dryRun=All`;
    return (await plane.ask(node, 'PUT', path, secret({ namespace, name: 'there' }))).status;
  }

  describe('of a cluster in order', () => {
    test('every check passes, webhooks and policies that let updates through are tried, and nothing is left', async () => {
      await makePolicy('kind', 'true', ['secrets'], 'strict');
      const [namespace = '', name = ''] = LEFT.split('/').slice(-2);
      await make(`/api/v1/namespaces/${namespace}/secrets`, secret({ namespace, name }));
      expect(await leftOvers()).toEqual([LEFT]);

      const { checks, others } = await preflight(0);
      expect(others('fail')).toEqual([]);
      expect(others('warn')).toEqual([]);
      expect(checks.get('updates of secrets admitted')?.detail).toBe('policy kind (Fail): tried in seed-3');
      expect(checks.get('updates of configmaps admitted')?.detail).toBe(
        'no webhook or policy is asked about updates',
      );
      expect(checks.get('room in etcd')?.detail).toMatch(/in use of 8,590 MB/);
      expect(checks.get('clocks agree')?.detail).toBe('4 clocks within 5 s');
      expect(checks.get('version of etcd')?.detail).toMatch(/^3\.\d+\.\d+$/);
      expect(checks.get('versions of the API servers')?.detail).toMatch(/^v1\.\d+\.\d+$/);
      expect(checks.get('objects readable')?.detail).toMatch(/^\d+ reads through all API servers/);
      expect(checks.has(`conversion of ${WIDGETS}`)).toBe(false);
      expect(await leftOvers()).toEqual([]);
    });

    test('an API server that is not on the list is named', async () => {
      if (plane.lab.config.apiServerOptions.ownHostName.length === 0) {
        console.warn('not tried: API servers that share a host name share their identity too');
        return;
      }
      const cluster = plane.lab.migrationSpec().spec['cluster'] as { apiServers: object[] };
      const { checks, others } = await preflight(1, {
        cluster: { ...cluster, apiServers: cluster.apiServers.slice(0, 1) },
      });
      expect(others('fail')).toEqual(['list of API servers complete']);
      expect(checks.get('list of API servers complete')?.detail).toContain('cp-2');
    });

    test('what API servers lack for an engine is told with the flags, and that nobody would carry it out', async () => {
      const { checks, others } = await preflight(1, { engine: 'StorageVersionMigration' });
      const name = 'engine StorageVersionMigration served';
      expect(others('fail')).toEqual([name]);
      for (const node of plane.lab.nodes) {
        expect(checks.get(name)?.detail).toContain(`${node} has the feature gate StorageVersionMigrator off`);
      }
      for (const flag of ['--feature-gates=StorageVersionMigrator=true', '--runtime-config=']) {
        expect(checks.get(name)?.remedy).toContain(flag);
      }
      expect(others('warn')).toContain('kube-controller-manager');
    });

    test('a person reads what was found, and how it stands', async () => {
      const document = plane.document({ spec: { source: { identity: {} } } });
      const answer = await plane.cli(['preflight', '-f', document]);
      expect(answer.stdout).toMatch(/^pass {2}API server cp-1 reachable {2,}v1\./m);
      expect(answer.stdout).toMatch(/\d+ passed, 0 warned, 0 failed: the migration can begin\.\n$/);
    });
  });

  describe('of a cluster in which much is amiss', () => {
    let checks: Map<string, Check>;

    beforeAll(async () => {
      await withoutConfiguration('cp-2');
      for (let i = 1; i <= 96; i += 1) {
        await make('/api/v1/namespaces/seed-1/configmaps', {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: `filler-${i}` },
          data: { filler: 'x'.repeat(MEBIBYTE / 4) },
        });
      }
      await etcdWithRoomFor(12 * MEBIBYTE);
      await make(`${ADMISSION}/validatingwebhookconfigurations`, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingWebhookConfiguration',
        metadata: { name: 'down' },
        webhooks: [
          {
            name: 'down.example.com',
            ...onSecrets(['UPDATE'], 'down'),
            clientConfig: NOWHERE,
            failurePolicy: 'Fail',
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
            timeoutSeconds: 2,
          },
        ],
      });
      await make(`${ADMISSION}/mutatingwebhookconfigurations`, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: 'lenient' },
        webhooks: [
          {
            name: 'lenient.example.com',
            ...onSecrets(['UPDATE'], 'lenient'),
            clientConfig: NOWHERE,
            failurePolicy: 'Ignore',
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
            timeoutSeconds: 2,
          },
        ],
      });
      await makePolicy('strict', "request.operation == 'CREATE'", ['secrets'], 'strict');
      await makePolicy('closed', "request.operation == 'UPDATE'", ['configmaps'], 'strict');
      await onEveryNode('webhooks and policies to be asked', async (node) => {
        const lenient = await updateOf(node, 'seed-2');
        const metrics = await plane.ask(node, 'GET', '/metrics');
        return (
          lenient === 200 &&
          /fail_open_count\{[^}]*name="lenient/.test(metrics.text) &&
          (await updateOf(node, 'seed-1')) === 500 &&
          (await updateOf(node, 'seed-3')) === 422
        );
      });
      const closed = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'refused' } };
      await onEveryNode('creations to be denied', async (node) => {
        const path = '/api/v1/namespaces/seed-3/configmaps?dryRun=All';
        return (await plane.ask(node, 'POST', path, closed)).status === 422;
      });
      await change(`${CRDS}/${WIDGETS}`, {
        spec: {
          conversion: {
            strategy: 'Webhook',
            webhook: { clientConfig: NOWHERE, conversionReviewVersions: ['v1'] },
          },
        },
      });
      await onEveryNode('conversion to be asked for', async (node) => {
        const path = '/apis/example.com/v2/namespaces/default/widgets/there';
        return (await plane.ask(node, 'GET', path)).status === 500;
      });
      // Last, for nothing but a single GET is answered about Secrets from now on.
      await sealedElsewhere('/registry/secrets/seed-1/sealed-elsewhere');
      const lost = Buffer.concat([Buffer.from('k8s:enc:aescbc:v1:gone:'), randomBytes(64)]);
      await store(plane.lab, '/registry/secrets/seed-1/lost', lost);

      const cluster = plane.lab.migrationSpec().spec['cluster'] as { encryptionConfiguration: object };
      ({ checks } = await preflight(1, {
        cluster: {
          ...cluster,
          encryptionConfiguration: { ...cluster.encryptionConfiguration, takeUp: 'Reload' },
        },
      }));
    });

    /** Starts an API server again as one that nobody gave an EncryptionConfiguration. */
    async function withoutConfiguration(node: string): Promise<void> {
      const { config } = plane.lab;
      const apiServers = config.apiServers.map((server) =>
        server.node === node ? { ...server, flags: ['--encryption-provider-config='] } : server,
      );
      writeConfig({ ...config, apiServers });
      await Lab.open(plane.lab.dir).restartApiServer(node);
    }

    /** Starts etcd again with so many bytes of quota left. */
    async function etcdWithRoomFor(bytes: number): Promise<void> {
      const answer = await fetch(`${etcdUrls(plane.lab.config)[0] ?? ''}/metrics`);
      const size = /^etcd_mvcc_db_total_size_in_bytes (\S+)$/m.exec(await answer.text())?.[1];
      const { config } = Lab.open(plane.lab.dir);
      writeConfig({ ...config, etcd: { ...config.etcd, quotaBytes: Number(size) + bytes } });
      await Lab.open(plane.lab.dir).restart('etcd');
      await onEveryNode('etcd to be found again', async (node) => {
        return (await plane.ask(node, 'GET', '/readyz')).status === 200;
      });
    }

    /** As a plugin seals whose key is another than the target's, under the target's name. */
    async function sealedElsewhere(key: string): Promise<void> {
      const value = sealKmsV2({
        providerName: 'vault',
        etcdKey: key,
        plaintext: Buffer.from('{}'),
        seed: randomBytes(32),
        keyId: 'of-another-key',
        encryptedDekSource: randomBytes(64),
        annotations: {},
      });
      await store(plane.lab, key, value);
    }

    function expectCheck(name: string, outcome: Check['outcome'], detail: string[], remedy: string): void {
      const check = checks.get(name);
      expect({ name, outcome: check?.outcome }).toEqual({ name, outcome });
      for (const words of detail) expect(check?.detail).toContain(words);
      expect(check?.remedy).toContain(remedy);
    }

    test('an API server without an EncryptionConfiguration is told which file and which flags it needs', () => {
      expectCheck(
        'configuration taken up by cp-2',
        'fail',
        ['runs without --encryption-provider-config'],
        `--encryption-provider-config=${plane.configurationFile('cp-2')} --encryption-provider-config-automatic-reload=true`,
      );
    });

    test('an API server that never takes up a changed file is told which flag it lacks', () => {
      expectCheck(
        'reload by cp-1',
        'fail',
        ['without --encryption-provider-config-automatic-reload=true'],
        'set takeUp: Restart',
      );
      expect(checks.get('configuration taken up by cp-1')?.outcome).toBe('pass');
    });

    test('a webhook that is down, one that is passed over, and a policy that denies are told apart', () => {
      expectCheck(
        'updates of secrets admitted',
        'fail',
        [
          'refused in seed-1 through cp-1, seed-1 through cp-2: 500 InternalError; webhook down.example.com did not answer (ValidatingWebhookConfiguration down, failurePolicy Fail)',
          'denied by policy strict (ValidatingAdmissionPolicy strict, bound by strict, failurePolicy Fail)',
          'webhook lenient.example.com did not answer and was passed over (failurePolicy Ignore)',
        ],
        'start what the webhook calls',
      );
    });

    test('where nothing may be created, updates of what is there are tried as a dry run', () => {
      expect(checks.get('updates of configmaps admitted')).toMatchObject({
        outcome: 'pass',
        detail: 'policy closed (Fail): tried in seed-3',
      });
    });

    test('objects that no key opens are named with what they lie under, and what can be done', () => {
      expectCheck(
        'objects readable',
        'warn',
        ['secrets seed-1/lost (under aescbc gone; 500 InternalError; ', ') through cp-1, cp-2, '],
        'keyferry waive',
      );
    });

    test("a value under the target's name that the configuration does not open is other material", () => {
      expectCheck(
        "target's name free in etcd",
        'fail',
        ['1 object lies under kms vault already', 'secrets seed-1/sealed-elsewhere', 'key id of-another-key'],
        'give the target a name that nothing is sealed under',
      );
    });

    test('a conversion webhook that is down is found', () => {
      expectCheck(`conversion of ${WIDGETS}`, 'fail', ['v2: 500'], 'mend the webhook under spec.conversion');
      expectCheck('canaries', 'warn', [WIDGETS], 'secrets, configmaps stand for them');
    });

    test('too little room in etcd is found, with numbers', () => {
      expectCheck('room in etcd', 'fail', ['need about', 'in use of'], '--quota-backend-bytes');
    });

    test('nothing is left of what was tried', async () => {
      expect(await leftOvers()).toEqual([]);
    });

    test('rights that are taken away are named; what is unreadable forbids restarts', async () => {
      const role = `${RBAC}/clusterroles/keyferry`;
      const { rules } = JSON.parse((await plane.ask('cp-1', 'GET', role)).text) as {
        rules: { apiGroups?: string[] }[];
      };
      await change(role, {
        rules: rules.filter(({ apiGroups }) => apiGroups?.[0] !== 'admissionregistration.k8s.io'),
      });
      await onEveryNode('the right to be taken away', async (node) => {
        const api = plane.lab.api(node, 'keyferry');
        const { status } = await api.request('GET', `${ADMISSION}/validatingwebhookconfigurations`);
        api.close();
        return status === 403;
      });
      ({ checks } = await preflight(1));
      expectCheck(
        'permissions',
        'fail',
        ['list validatingwebhookconfigurations.admissionregistration.k8s.io'],
        'apply deploy/rbac.yaml',
      );
      expectCheck('updates of secrets admitted', 'fail', ['answered 403'], 'deploy/rbac.yaml');
      // Asked for restarts this time, which no API server would survive.
      expectCheck('objects readable', 'fail', ['secrets seed-1/lost'], 'before any API server is restarted');
    });
  });

  describe('where it can not be asked for', () => {
    test('a Temporal namespace that is not there is told as such, by every command', async () => {
      const nowhere = ['--temporal-namespace', 'nosuch'];
      for (const command of [
        ['preflight', '-f', plane.document()],
        ['status'],
        ['pause'],
        ['report', 'some-id'],
        ['worker'],
        ['agent', '--cluster', 'lab', '--node', 'cp-1'],
      ]) {
        const answer = await plane.cli([...command, ...nowhere]);
        expect(answer.stderr).toContain('has no namespace "nosuch"');
        expect(answer.stderr).toMatch(/what to do: .*--temporal-namespace/);
        expect(answer.code).toBe(69);
      }
    });

    test('a task queue on which no worker polls is told as such', async () => {
      const answer = await plane.cli(['preflight', '-f', plane.document(), '--task-queue', 'nosuch']);
      expect(answer.stderr).toContain('no worker is there');
      expect(answer.stderr).toContain('start a worker on task queue "nosuch"');
      expect(answer.code).toBe(69);
    });

    test('a node that is not in the document is refused by plan', async () => {
      const answer = await plane.cli(['plan', '-f', plane.document(), '--node', 'nosuch']);
      expect(answer.stderr).toContain('name one of cp-1, cp-2');
      expect(answer.code).toBe(64);
    });

    test('an agent has no task queue to choose', async () => {
      expect((await plane.cli(['agent', '--help'])).stdout).not.toContain('--task-queue');
    });
  });
});
