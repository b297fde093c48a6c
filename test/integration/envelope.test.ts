import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { writeByRename } from '../../lab/files.ts';
import { type HttpAnswer } from '../../lab/http.ts';
import { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { CounterNonces, decodeKmsV2, sealKmsV2WithKey } from '../../src/envelope/kms-v2.ts';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { CleanUp } from '../support/clean-up.ts';
import { runCli } from '../support/cli.ts';
import { store, storedUnder, type StoredValue } from '../support/etcd.ts';

jest.setTimeout(300_000);

const WIDGETS = 'widgets.example.com';
const ROLES = 'clusterroles.rbac.authorization.k8s.io';
const MEBIBYTE = 1024 ** 2;

const local = (type: string, size: number) => ({
  [type]: { keys: [{ name: `${type}:1 é`, secret: Buffer.alloc(size, type).toString('base64') }] },
});
/** By what writes: what its values begin with, and its provider. */
const formats: readonly (readonly [name: string, prefix: string, provider: (endpoint: string) => object])[] =
  [
    ['identity', '', () => ({ identity: {} })],
    ['aescbc', 'k8s:enc:aescbc:v1:aescbc:1 é:', () => local('aescbc', 32)],
    ['aesgcm', 'k8s:enc:aesgcm:v1:aesgcm:1 é:', () => local('aesgcm', 16)],
    ['secretbox', 'k8s:enc:secretbox:v1:secretbox:1 é:', () => local('secretbox', 32)],
    [
      'kms',
      'k8s:enc:kms:v2:vault:',
      (endpoint) => ({ kms: { apiVersion: 'v2', name: 'vault', endpoint, timeout: '3s' } }),
    ],
  ];

/** A file in which one format writes, and all of them read. */
function configuration(writer: string, endpoint: string): string {
  const first = formats.filter(([name]) => name === writer);
  const others = formats.filter(([name]) => name !== writer && name !== 'identity');
  const last = formats.filter(([name]) => name === 'identity' && name !== writer);
  return stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [
      {
        resources: ['secrets', WIDGETS, ROLES],
        providers: [...first, ...others, ...last].map(([, , provider]) => provider(endpoint)),
      },
    ],
  });
}

interface TestObject {
  readonly resource: string;
  /** Of its API. */
  readonly path: string;
  readonly etcdKey: string;
  readonly body: object;
}

/** Objects of 0 B to 1 MiB, protobuf and JSON, with the names that Kubernetes lets pass. */
function objectsIn(namespace: string): TestObject[] {
  const secret = (name: string, data: Record<string, Buffer>, annotations = {}): TestObject => ({
    resource: 'secrets',
    path: `/api/v1/namespaces/${namespace}/secrets`,
    etcdKey: `/registry/secrets/${namespace}/${name}`,
    body: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, annotations },
      data: Object.fromEntries(Object.entries(data).map(([key, bytes]) => [key, bytes.toString('base64')])),
    },
  });
  const role = `envelope:größe 名:${namespace}`;
  return [
    secret('empty', {}),
    ...[0, 1, 15, 16, 17, 31, 32, 4096, MEBIBYTE].map((size) =>
      secret(`of-${size}`, { content: randomBytes(size) }),
    ),
    secret('0.a-b.c', { '.hidden': Buffer.from('Größe 名 𝄞 \0 \u2028'), 'UPPER_case-1.x': Buffer.of(0xff) }),
    secret(`${'n'.repeat(240)}.long`, { k: Buffer.alloc(1) }, { 'example.com/note': '名 𝄞' }),
    {
      resource: WIDGETS,
      path: `/apis/example.com/v1/namespaces/${namespace}/widgets`,
      etcdKey: `/registry/example.com/widgets/${namespace}/w`,
      body: {
        apiVersion: 'example.com/v1',
        kind: 'Widget',
        metadata: { name: 'w' },
        spec: { größe: '名 𝄞 \u2028', large: 'x'.repeat(MEBIBYTE / 2) },
      },
    },
    {
      resource: ROLES,
      path: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
      etcdKey: `/registry/clusterroles/${role}`,
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: role },
        rules: [],
      },
    },
  ];
}

describe('values at rest, between a real kube-apiserver and keyferry envelope', () => {
  const cleanUp = new CleanUp();
  let lab: Lab;
  let file: string;
  let endpoint: string;

  const node = 'cp-1';

  async function ask(method: string, path: string, body?: unknown): Promise<HttpAnswer> {
    const client = lab.api(node);
    try {
      return await client.request(method, path, body);
    } finally {
      client.close();
    }
  }

  async function make(path: string, body: object): Promise<void> {
    // A CRD is served some moments after it was made.
    await waitFor({ what: `${path} to take an object`, timeoutMs: 60_000 }, async () => {
      const { status, text } = await ask('POST', path, body);
      if (status !== 201 && status !== 404 && status !== 409) throw new Error(`${path}: ${status} ${text}`);
      return status === 201 || status === 409;
    });
  }

  /** An object as kube-apiserver reads it from etcd; its revision changes with each put. */
  async function read({ path, etcdKey }: TestObject): Promise<unknown> {
    const name = encodeURIComponent(etcdKey.slice(etcdKey.lastIndexOf('/') + 1));
    const { status, text } = await ask('GET', `${path}/${name}`);
    if (status !== 200) throw new Error(`${etcdKey}: ${status} ${text}`);
    const object = JSON.parse(text) as { metadata: { resourceVersion?: string } };
    delete object.metadata.resourceVersion;
    return object;
  }

  async function stored({ etcdKey }: TestObject): Promise<StoredValue> {
    const found = (await storedUnder(lab, etcdKey)).find(({ key }) => key === etcdKey);
    if (found === undefined) throw new Error(`etcd has no ${etcdKey}`);
    return found;
  }

  interface Line {
    readonly key: string;
    readonly value: string;
    readonly stale?: true;
  }

  async function envelope(verb: 'open' | 'seal', resource: string, lines: readonly Line[]): Promise<Line[]> {
    const answer = await runCli(['envelope', verb, '--encryption-config', file, '--resource', resource], {
      input: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    });
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    return answer.stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Line);
  }

  beforeAll(async () => {
    const parent = mkdtempSync(join(tmpdir(), 'kf-'));
    cleanUp.keep(parent, async (dir) => {
      await rm(dir, { recursive: true });
    });
    lab = cleanUp.keep(
      await Lab.up({
        dir: join(parent, 'lab'),
        apiServers: 1,
        reload: false,
        temporal: false,
        plugins: true,
        encryptionConfiguration: (context) => configuration('identity', context.endpoint),
      }),
      (up) => up.down(),
    );
    const own = lab.paths.node(node);
    [file, endpoint] = [own.encryptionConfiguration, `unix://${own.socket}`];
    await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: WIDGETS },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    });
  }, 900_000);

  afterAll(() => cleanUp.run(), 120_000);

  describe.each(formats)('in %s', (format, prefix) => {
    const namespace = `envelope-${format}`;
    const objects = objectsIn(namespace);
    /** What kube-apiserver wrote, opened. */
    const opened = new Map<string, Line>();

    beforeAll(async () => {
      writeByRename(file, configuration(format, endpoint));
      await lab.restartApiServer(node);
      await make('/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      });
      for (const { path, body } of objects) await make(path, body);
    });

    test('what kube-apiserver wrote, envelope open opens', async () => {
      for (const resource of ['secrets', WIDGETS, ROLES]) {
        const values: Line[] = [];
        for (const object of objects.filter((one) => one.resource === resource)) {
          const { key, value } = await stored(object);
          expect(value.subarray(0, Buffer.byteLength(prefix)).toString()).toBe(prefix);
          values.push({ key, value: value.toString('base64') });
        }
        for (const line of await envelope('open', resource, values)) {
          // It is what this server writes now.
          expect(line.stale).toBeUndefined();
          opened.set(line.key, line);
        }
      }
      expect([...opened.keys()].sort()).toEqual(objects.map(({ etcdKey }) => etcdKey).sort());
      for (const { etcdKey, resource } of objects) {
        const content = Buffer.from(opened.get(etcdKey)?.value ?? '', 'base64');
        expect(content.toString('latin1', 0, resource === WIDGETS ? 1 : 4)).toBe(
          resource === WIDGETS ? '{' : 'k8s\0',
        );
      }
    });

    test('what envelope seal writes, kube-apiserver reads', async () => {
      for (const object of objects) {
        const before = await read(object);
        const plain = opened.get(object.etcdKey);
        if (plain === undefined) throw new Error(`${object.etcdKey} was not opened`);
        const [sealed] = await envelope('seal', object.resource, [plain]);
        const value = Buffer.from(sealed?.value ?? '', 'base64');
        expect(value.subarray(0, Buffer.byteLength(prefix)).toString()).toBe(prefix);
        if (format !== 'identity') expect(value.equals((await stored(object)).value)).toBe(false);
        await store(lab, object.etcdKey, value);
        expect((await stored(object)).value.equals(value)).toBe(true);
        expect(await read(object)).toEqual(before);
      }
    });
  });

  describe('after all of them', () => {
    test('what another format wrote is stale, and opens', async () => {
      for (const [format] of formats.slice(0, -1)) {
        const [object] = objectsIn(`envelope-${format}`);
        if (object === undefined) throw new Error('no objects');
        const { key, value } = await stored(object);
        const [line] = await envelope('open', 'secrets', [{ key, value: value.toString('base64') }]);
        expect(line?.stale).toBe(true);
      }
    });

    test('a kms v2 value of the older source type is read by kube-apiserver, and stale', async () => {
      const [object] = objectsIn('envelope-kms');
      if (object === undefined) throw new Error('no objects');
      const before = await read(object);
      const { key, value } = await stored(object);
      const [line] = await envelope('open', 'secrets', [{ key, value: value.toString('base64') }]);
      const plugin = new KmsPluginClient(endpoint);
      const dek = randomBytes(32);
      const { ciphertext, keyId, annotations } = await plugin.encrypt(dek, 'envelope-test');
      plugin.close();
      const older = sealKmsV2WithKey({
        providerName: 'vault',
        etcdKey: key,
        plaintext: Buffer.from(line?.value ?? '', 'base64'),
        dek,
        nonces: new CounterNonces(),
        keyId,
        encryptedDekSource: ciphertext,
        annotations,
      });
      expect(decodeKmsV2(older).dekSourceType).toBe('aes-gcm-key');
      await store(lab, key, older);
      expect(await read(object)).toEqual(before);
      const [again] = await envelope('open', 'secrets', [{ key, value: older.toString('base64') }]);
      expect(again).toEqual({ key, value: line?.value, stale: true });
    });
  });
});
