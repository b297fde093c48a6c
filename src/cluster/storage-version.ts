import { createHash } from 'node:crypto';
import { KeyferryError } from '../errors.ts';
import type { ApiResponse, ApiServer } from './api-server.ts';
import { explain } from './refusal.ts';
import { findResource, type Resource } from './resources.ts';

/** What a CustomResourceDefinition says of its versions. */
export interface Definition {
  name: string;
  uid: string;
  /** Goes up with each change of its spec. */
  generation: number;
  resourceVersion: string;
  conversion: 'None' | 'Webhook';
  versions: { name: string; served: boolean; storage: boolean }[];
  storedVersions: string[];
}

/** In which version one API server stores a resource, as its discovery says. */
export interface ServerStorage {
  name: string;
  /** `stable.example.com/v2`. */
  apiVersion?: string;
  /** Why it doesn't say, where it doesn't. */
  silent?: string;
}

/** A resource and the version that its objects are stored in now. */
export interface StorageVersion {
  /** Asked for, and rewritten, in its storage version: what isn't stored so yet is converted once. */
  resource: Resource;
  /** Absent of a built-in resource. */
  definition?: Definition;
  servers: ServerStorage[];
}

interface DiscoveredResource {
  name: string;
  kind: string;
  storageVersionHash?: string;
}

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/**
 * In which version a resource is stored: as its definition says where it has one, else as API servers do.
 *
 * Each API server is asked by itself: it has an informer of its own, and stores by what that has told it.
 *
 * @throws KeyferryError `NotFoundResource`, `UntoldStorageVersion`, `UnavailableCrd`, `UnavailableDiscovery`
 */
export async function storageVersionOf(
  servers: readonly [ApiServer, ...ApiServer[]],
  name: string,
  etcdRoot: string,
): Promise<StorageVersion> {
  const [first] = servers;
  const preferred = await findResource(first, name, etcdRoot);
  const definition = await definitionOf(first, preferred);
  const group = groupOf(preferred.apiVersion);
  const known = definition?.versions.map((one) => one.name) ?? (await versionsOf(first, group));
  const stored = await Promise.all(servers.map((server) => storedBy(server, preferred, known)));
  const wanted =
    definition === undefined ? stored[0]?.apiVersion : apiVersion(group, storageOf(definition) ?? '');
  if (wanted === undefined) {
    throw new KeyferryError(
      'UntoldStorageVersion',
      `in which version ${name} is stored can't be told: ${stored[0]?.silent ?? ''}`,
      { remedy: 'take it off the list: discovery names none of its served versions as the storage version' },
    );
  }
  return {
    resource: inVersion(preferred, wanted),
    ...(definition === undefined ? {} : { definition }),
    servers: stored,
  };
}

/** The version with `storage: true`; an API server lets no definition have another number of them than one. */
export function storageOf({ versions }: Definition): string | undefined {
  return versions.find(({ storage }) => storage)?.name;
}

/** The same resource, asked for in another version of its group. */
export function inVersion(resource: Resource, apiVersion: string): Resource {
  const root = apiVersion.includes('/') ? '/apis' : '/api';
  return { ...resource, apiPath: `${root}/${apiVersion}`, apiVersion };
}

/** A group and a version, as objects write them; the core group has no name. */
export function apiVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}

export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}

/** @returns undefined for a built-in resource */
export async function definitionOf(server: ApiServer, resource: Resource): Promise<Definition | undefined> {
  const group = groupOf(resource.apiVersion);
  if (group === '') return undefined;
  const name = `${resource.plural}.${group}`;
  const response = await server.request({ method: 'GET', path: `${CRDS}/${name}` });
  if (response.status === 404) return undefined;
  if (response.status !== 200) throw unavailable(server, name, response);
  const { metadata, spec, status } = response.body as {
    metadata: { uid: string; generation: number; resourceVersion: string };
    spec: {
      conversion?: { strategy?: string };
      versions: { name: string; served: boolean; storage: boolean }[];
    };
    status?: { storedVersions?: string[] };
  };
  return {
    name,
    uid: metadata.uid,
    generation: metadata.generation,
    resourceVersion: metadata.resourceVersion,
    conversion: spec.conversion?.strategy === 'Webhook' ? 'Webhook' : 'None',
    versions: spec.versions.map(({ name: version, served, storage }) => ({ name: version, served, storage })),
    storedVersions: status?.storedVersions ?? [],
  };
}

/**
 * Sets `status.storedVersions`, if nobody has changed the definition meanwhile. An API server takes whatever is set there: it
 * compares it with `spec.versions` only when the spec changes (apiextensions-apiserver, ValidateUpdateCustomResourceDefinitionStatus).
 *
 * @returns false where somebody has
 * @throws KeyferryError `UnavailableCrd`
 */
export async function setStoredVersions(
  server: ApiServer,
  { name, resourceVersion }: Pick<Definition, 'name' | 'resourceVersion'>,
  storedVersions: readonly string[],
): Promise<boolean> {
  const response = await server.request({
    method: 'PATCH',
    path: `${CRDS}/${name}/status?fieldManager=keyferry`,
    headers: { 'content-type': 'application/merge-patch+json' },
    body: { metadata: { resourceVersion }, status: { storedVersions } },
  });
  if (response.status === 409) return false;
  if (response.status !== 200) throw unavailable(server, name, response);
  return true;
}

function unavailable(server: ApiServer, name: string, response: ApiResponse): KeyferryError {
  const { status } = response;
  return new KeyferryError(
    'UnavailableCrd',
    `${server.name} answered ${status} (${explain(response).reason}) for the definition ${name}`,
    {
      remedy:
        "let the kubeconfig's user get customresourcedefinitions and patch their status (deploy/rbac.yaml), and webhooks and policies admit it",
      retryable: status >= 500 || status === 429,
    },
  );
}

async function versionsOf(server: ApiServer, group: string): Promise<string[]> {
  if (group === '') return ['v1'];
  const { status, body } = await server.request({ method: 'GET', path: `/apis/${group}` });
  if (status !== 200) throw undiscovered(server, `/apis/${group}`, status);
  return (body as { versions: { version: string }[] }).versions.map(({ version }) => version);
}

async function storedBy(
  server: ApiServer,
  resource: Resource,
  versions: readonly string[],
): Promise<ServerStorage> {
  const { name } = server;
  try {
    const { status, body } = await server.request({ method: 'GET', path: resource.apiPath });
    if (status !== 200 && status !== 404) throw undiscovered(server, resource.apiPath, status);
    const found =
      status === 404
        ? undefined
        : (body as { resources?: DiscoveredResource[] }).resources?.find(
            (one) => one.name === resource.plural,
          );
    if (found === undefined) return { name, silent: `doesn't serve ${resource.apiVersion}` };
    const group = groupOf(resource.apiVersion);
    const stored = versions.find(
      (version) => storageVersionHash(group, version, found.kind) === found.storageVersionHash,
    );
    return stored === undefined
      ? { name, silent: 'stores none of the versions that are known of it' }
      : { name, apiVersion: apiVersion(group, stored) };
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    return { name, silent: error.message };
  }
}

/** As discovery has it (StorageVersionHash in k8s.io/apiserver, pkg/endpoints/discovery). */
export function storageVersionHash(group: string, version: string, kind: string): string {
  const digest = createHash('sha256').update(`${group}/${version}/${kind}`).digest();
  return digest.subarray(0, 8).toString('base64');
}

function undiscovered(server: ApiServer, path: string, status: number): KeyferryError {
  return new KeyferryError('UnavailableDiscovery', `${server.name} answered ${status} to ${path}`, {
    remedy: "see that the server is well, and that the kubeconfig's user may get its discovery",
    retryable: status >= 500 || status === 429,
  });
}
