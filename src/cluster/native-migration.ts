import { KeyferryError } from '../errors.ts';
import type { ControllerLease, NativeApi, NativeLook, NativeObject } from '../plan/native-migration.ts';
import { groupAndVersion, groupResource, nativeObject } from '../plan/native-object.ts';
import type { NativeServing } from '../plan/preflight-native.ts';
import type { ApiResponse, ApiServer } from './api-server.ts';
import { askAny, type Answer, type Cluster } from './cluster.ts';
import { samplesOf } from './prometheus.ts';
import { explain, statusOf } from './refusal.ts';
import type { Resource } from './resources.ts';

const GROUP = 'storagemigration.k8s.io';
const PLURAL = 'storageversionmigrations';
const MANAGED = '?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dkeyferry';
const LEASE =
  '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?fieldSelector=metadata.name%3Dkube-controller-manager';

interface Served {
  metadata: { name: string; uid: string; resourceVersion: string; creationTimestamp: string };
  spec: { resource?: { group?: string; resource?: string } };
  status?: {
    resourceVersion?: string;
    conditions?: {
      type: string;
      status: string;
      reason?: string;
      message?: string;
      lastTransitionTime?: string;
      /** In its place in v1alpha1. */
      lastUpdateTime?: string;
    }[];
  };
}

/**
 * How an API server serves StorageVersionMigrations: in the version that it prefers, by the schema that it tells.
 *
 * @returns undefined where it serves none
 * @throws KeyferryError `UnavailableDiscovery`; `UnknownMigrationSchema` where its schema isn't one that keyferry knows
 */
export async function nativeApi(server: ApiServer): Promise<NativeApi | undefined> {
  const group = await discovered(server, `/apis/${GROUP}`);
  const apiVersion = (group as { preferredVersion?: { groupVersion?: string } } | undefined)?.preferredVersion
    ?.groupVersion;
  if (apiVersion === undefined) return undefined;
  const resources = (await discovered(server, `/apis/${apiVersion}`)) as
    { resources?: { name: string }[] } | undefined;
  if (resources?.resources?.some(({ name }) => name === PLURAL) !== true) return undefined;
  const fields = resourceFields(await discovered(server, `/openapi/v3/apis/${apiVersion}`));
  if (!fields.includes('resource')) {
    throw new KeyferryError(
      'UnknownMigrationSchema',
      `${server.name} serves StorageVersionMigrations of ${apiVersion}, whose spec.resource keyferry doesn't know`,
      { remedy: 'take the engine APIServer' },
    );
  }
  return { apiVersion, fields };
}

/** How an API server serves them, and where it doesn't, whether its feature gate is on. */
export async function nativeServing(server: ApiServer): Promise<NativeServing> {
  const { name } = server;
  const api = await nativeApi(server);
  if (api !== undefined) return { name, api };
  const { text } = await server.request({ method: 'GET', path: '/metrics', timeoutMs: 10_000 });
  const gate = samplesOf(text, 'kubernetes_feature_enabled').find(({ labels }) =>
    labels.includes('name="StorageVersionMigrator"'),
  );
  return { name, ...(gate === undefined ? {} : { gate: gate.value === 1 }) };
}

async function discovered(server: ApiServer, path: string): Promise<unknown> {
  const { status, body } = await server.request({ method: 'GET', path, timeoutMs: 10_000 });
  if (status === 200) return body;
  if (status === 404) return undefined;
  throw new KeyferryError('UnavailableDiscovery', `${server.name} answered ${status} to ${path}`, {
    remedy: "see that the server is well, and that the kubeconfig's user may get its discovery",
    retryable: status >= 500 || status === 429,
  });
}

interface Schema {
  $ref?: string;
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  'x-kubernetes-group-version-kind'?: { group?: string; kind?: string }[];
}

/** The fields of `spec.resource` in a group's OpenAPI v3 document; none where it has no such thing. */
export function resourceFields(document: unknown): string[] {
  const schemas = (document as { components?: { schemas?: Record<string, Schema> } } | undefined)?.components
    ?.schemas;
  if (schemas === undefined) return [];
  const resolved = (schema: Schema | undefined): Schema | undefined => {
    const reference = schema?.$ref ?? schema?.allOf?.[0]?.$ref;
    return reference === undefined ? schema : schemas[reference.replace('#/components/schemas/', '')];
  };
  const kind = Object.values(schemas).find((schema) =>
    schema['x-kubernetes-group-version-kind']?.some(
      (one) => one.group === GROUP && one.kind === 'StorageVersionMigration',
    ),
  );
  const spec = resolved(kind?.properties?.['spec']);
  return Object.keys(resolved(spec?.properties?.['resource'])?.properties ?? {});
}

/**
 * Asks the cluster to rewrite a resource. Safe to repeat: one that is there under the name is taken for what was asked for.
 *
 * @throws KeyferryError `NotServedMigrations`; `RefusedMigration`; `MigrationNameTaken` where the name is that of one of
 * another resource
 */
export async function askForNative(
  cluster: Cluster,
  resource: Resource,
  name: string,
): Promise<{ api: NativeApi; object: NativeObject }> {
  const api = await anyApi(cluster);
  const answer = await askAny(cluster, {
    method: 'POST',
    path: pathOf(api),
    body: nativeObject(api, resource, name),
  });
  if (answer.status < 300) return { api, object: seen(answer.body as Served) };
  if (answer.status !== 409) throw refused(answer, name);
  const present = await readNative(cluster, api, name);
  const { group } = groupAndVersion(resource);
  const wanted = groupResource({ group, resource: resource.plural });
  if (present?.resource === wanted) return { api, object: present };
  throw new KeyferryError(
    'MigrationNameTaken',
    `StorageVersionMigration ${name} is ${present === undefined ? 'there for a moment only' : `of ${present.resource}`}, and not of ${wanted}`,
    { remedy: `kubectl delete storageversionmigration ${name}`, retryable: present === undefined },
  );
}

/** Looks at a StorageVersionMigration, and at who could carry it out. */
export async function lookAtNative(
  cluster: Cluster,
  api: NativeApi,
  resource: Resource,
  name: string,
): Promise<NativeLook> {
  const object = await readNative(cluster, api, name);
  const controller = await controllerLease(cluster);
  const idle = object !== undefined && object.resourceVersion === undefined;
  return {
    at: Date.now(),
    ...(object === undefined ? {} : { object }),
    ...(controller === undefined ? {} : { controller }),
    others: idle ? await othersOf(cluster, api, resource, name) : [],
  };
}

/**
 * Deletes one, if it is still as it was seen.
 *
 * @returns false where it has changed since
 */
export async function withdrawNative(
  cluster: Cluster,
  api: NativeApi,
  { name, uid, revision }: NativeObject,
): Promise<boolean> {
  const answer = await askAny(cluster, {
    method: 'DELETE',
    path: `${pathOf(api)}/${name}`,
    body: { preconditions: { uid, resourceVersion: revision } },
  });
  if (answer.status < 300 || isGone(answer, name)) return true;
  if (answer.status === 409) return false;
  throw refused(answer, name);
}

/** Deletes all whose names begin so. */
export async function removeNatives(cluster: Cluster, prefix: string): Promise<void> {
  const [server] = cluster.apiServers;
  const api = server === undefined ? undefined : await nativeApi(server);
  // Nobody serves them any more: what is left lies in etcd, and does nothing.
  if (api === undefined) return;
  for (const { metadata } of await listed(cluster, api, MANAGED)) {
    if (!metadata.name.startsWith(prefix)) continue;
    const answer = await askAny(cluster, { method: 'DELETE', path: `${pathOf(api)}/${metadata.name}` });
    if (answer.status >= 300 && !isGone(answer, metadata.name)) throw refused(answer, metadata.name);
  }
}

/**
 * The Lease of kube-controller-manager; undefined where there is none.
 *
 * @throws KeyferryError `UnavailableLeases`, retryable
 */
export async function controllerLease(cluster: Cluster): Promise<ControllerLease | undefined> {
  const { status, body, server } = await askAny(cluster, { method: 'GET', path: LEASE });
  if (status !== 200) {
    throw new KeyferryError(
      'UnavailableLeases',
      `${server} answered ${status} for the Leases of kube-system`,
      {
        remedy: "let the kubeconfig's user list leases in kube-system (deploy/rbac.yaml)",
        retryable: true,
      },
    );
  }
  interface Lease {
    spec?: {
      holderIdentity?: string;
      acquireTime?: string;
      renewTime?: string;
      leaseDurationSeconds?: number;
    };
  }
  const [lease] = (body as { items: Lease[] }).items;
  if (lease === undefined) return undefined;
  const { holderIdentity = '', acquireTime, renewTime, leaseDurationSeconds = 15 } = lease.spec ?? {};
  return {
    holder: holderIdentity,
    acquiredAt: Date.parse(acquireTime ?? ''),
    renewedAt: Date.parse(renewTime ?? ''),
    durationMs: leaseDurationSeconds * 1000,
  };
}

async function anyApi(cluster: Cluster): Promise<NativeApi> {
  let last: unknown;
  for (const server of cluster.apiServers) {
    try {
      const api = await nativeApi(server);
      if (api !== undefined) return api;
      last = notServed(server.name);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

async function readNative(cluster: Cluster, api: NativeApi, name: string): Promise<NativeObject | undefined> {
  const answer = await askAny(cluster, { method: 'GET', path: `${pathOf(api)}/${name}` });
  if (answer.status === 200) return seen(answer.body as Served);
  if (isGone(answer, name)) return undefined;
  throw refused(answer, name);
}

async function othersOf(
  cluster: Cluster,
  api: NativeApi,
  { plural, ...resource }: Resource,
  name: string,
): Promise<string[]> {
  const { group } = groupAndVersion({ plural, ...resource });
  const own = groupResource({ group, resource: plural });
  return (await listed(cluster, api, '')).flatMap((served) => {
    const other = seen(served);
    const ended = other.conditions.some(
      ({ type, status }) => ['Succeeded', 'Failed'].includes(type) && status === 'True',
    );
    return other.name === name || other.resource !== own || ended ? [] : [other.name];
  });
}

async function listed(cluster: Cluster, api: NativeApi, query: string): Promise<Served[]> {
  const answer = await askAny(cluster, { method: 'GET', path: `${pathOf(api)}${query}` });
  if (answer.status !== 200) throw refused(answer, PLURAL);
  return (answer.body as { items: Served[] }).items;
}

function pathOf({ apiVersion }: NativeApi): string {
  return `/apis/${apiVersion}/${PLURAL}`;
}

function seen({ metadata, spec, status = {} }: Served): NativeObject {
  const conditions = status.conditions ?? [];
  const failed = conditions.find((one) => one.type === 'Failed' && one.status === 'True');
  return {
    name: metadata.name,
    uid: metadata.uid,
    revision: metadata.resourceVersion,
    createdAt: metadata.creationTimestamp,
    resource: groupResource(spec.resource ?? {}),
    ...(status.resourceVersion === undefined || status.resourceVersion === ''
      ? {}
      : { resourceVersion: status.resourceVersion }),
    conditions: conditions.map((one) => ({
      type: one.type,
      status: one.status,
      reason: one.reason ?? '',
      at: one.lastTransitionTime ?? one.lastUpdateTime ?? '',
    })),
    ...(failed === undefined ? {} : { why: whyFailed(failed.reason, failed.message) }),
  };
}

/** What the controller says itself, which names no object. */
const OWN_WORDS =
  /resource does not exist in (?:discovery|GC)|unable to obtain GVR from discovery|does not support discovery operations|comparing resource versions/;

/**
 * Why one failed. The message holds an API server's answer to a PATCH, which may quote the object: nothing is taken of it but
 * the names of webhooks and policies, and what the controller says itself.
 */
export function whyFailed(reason = 'Failed', message = ''): string {
  const own = OWN_WORDS.exec(message)?.[0];
  if (own !== undefined) return `${reason}; ${own}`;
  const body = { reason, message };
  return explain({ status: /failed calling webhook/.test(message) ? 500 : 0, body, text: '' }).reason;
}

/** Of an object that isn't there; a server that doesn't serve its kind answers 404 as well, and says nothing of it. */
function isGone({ status, body }: ApiResponse, name: string): boolean {
  return status === 404 && (body as { details?: { name?: string } } | undefined)?.details?.name === name;
}

function refused(answer: Answer, name: string): KeyferryError {
  const { status, server } = answer;
  if (status === 404) return notServed(server);
  const words = `${server} answered ${status} for StorageVersionMigration ${name}`;
  if (status === 403) {
    return new KeyferryError('RefusedMigration', words, {
      remedy:
        "let the kubeconfig's user create, get, list and delete storageversionmigrations (deploy/rbac.yaml)",
    });
  }
  return new KeyferryError('RefusedMigration', `${words}: ${statusOf(answer).reason ?? 'no reason'}`, {
    remedy: 'see what the API server logs; or take the engine APIServer',
    retryable: status === 429 || status >= 500,
  });
}

function notServed(server: string): KeyferryError {
  return new KeyferryError('NotServedMigrations', `${server} serves no StorageVersionMigrations`, {
    remedy:
      'see which flags it was started with ("keyferry preflight" says what is missing); or take the engine APIServer',
    retryable: true,
  });
}
