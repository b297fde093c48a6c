import { KeyferryError } from '../errors.ts';
import type { ApiServer } from './api-server.ts';
import type { Cluster } from './cluster.ts';
import { writeFenced, type Fence } from './fence.ts';
import { objectPath, type Resource } from './resources.ts';

/** Marks keyferry's short-lived objects; its value is the nonce that a reader must find again. */
const NONCE = 'keyferry.dev/canary';
const LABEL = 'keyferry.dev/canary-of';

/** A short-lived object that shows what an API server reads or writes. */
export interface Canary {
  resource: Resource;
  namespace?: string;
  name: string;
  nonce: string;
}

/** @param purpose - what tells this canary from the others of the migration: `read-cp-1`, `write-cp-2` */
export function canary(resource: Resource, namespace: string, purpose: string, nonce: string): Canary {
  return {
    resource,
    ...(resource.namespaced ? { namespace } : {}),
    name: `keyferry-canary-${purpose}`,
    nonce,
  };
}

export function canaryKey(one: Canary): string {
  return `${one.resource.etcdPrefix}${one.namespace === undefined ? '' : `${one.namespace}/`}${one.name}`;
}

/** The canary as an object. It holds nothing but its names and nonce. */
export function canaryObject(one: Canary): object {
  return {
    apiVersion: one.resource.apiVersion,
    kind: one.resource.kind,
    metadata: {
      name: one.name,
      ...(one.namespace === undefined ? {} : { namespace: one.namespace }),
      labels: { [LABEL]: 'keyferry' },
      annotations: { [NONCE]: one.nonce },
    },
  };
}

/** What of a resource's canary an API server would refuse; undefined where it would take it. Nothing is written. */
export async function tryCanary(server: ApiServer, one: Canary): Promise<string | undefined> {
  const response = await server.request({
    method: 'POST',
    path: `${objectPath(one.resource, namespaceOf(one))}?dryRun=All`,
    body: canaryObject(one),
  });
  return response.status < 300 || response.status === 409
    ? undefined
    : `${response.status} ${reasonOf(response.body)}`;
}

/** Puts a value that was sealed elsewhere where the API servers look for the canary. */
export async function putCanary(cluster: Cluster, fence: Fence, one: Canary, sealed: Buffer): Promise<void> {
  await writeFenced(cluster, fence, {
    success: [{ request_put: { key: Buffer.from(canaryKey(one)), value: sealed } }],
  });
}

/**
 * Takes a canary that {@link putCanary} put out of etcd again, without asking an API server: one that can't open it
 * can't delete it either, and would fail every LIST of the resource for as long as it lay there.
 */
export async function takeCanary(cluster: Cluster, fence: Fence, one: Canary): Promise<void> {
  await writeFenced(cluster, fence, {
    success: [{ request_delete_range: { key: Buffer.from(canaryKey(one)) } }],
  });
}

/** Writes a canary through an API server. An older one of the same name goes first. */
export async function writeCanary(server: ApiServer, one: Canary): Promise<void> {
  await deleteCanary(server, one);
  const response = await server.request({
    method: 'POST',
    path: objectPath(one.resource, namespaceOf(one)),
    body: canaryObject(one),
  });
  if (response.status < 300) return;
  throw new KeyferryError(
    'CanaryRefused',
    `${server.name} refused the canary ${canaryKey(one)}: ${response.status} ${reasonOf(response.body)}`,
    {
      remedy: `let keyferry create and delete ${one.resource.name} in ${one.namespace ?? 'the cluster'}`,
      retryable: response.status >= 500 || response.status === 409,
    },
  );
}

/**
 * Reads a canary through an API server, past its watch cache.
 *
 * @returns what went wrong, or undefined when the nonce came back
 */
export async function readCanary(server: ApiServer, one: Canary): Promise<string | undefined> {
  const response = await server.request({ method: 'GET', path: objectPath(one.resource, one) });
  if (response.status !== 200)
    return `${server.name} can't read the canary ${canaryKey(one)}: ${response.status} ${reasonOf(response.body)}`;
  const annotations = (response.body as { metadata?: { annotations?: Record<string, string> } }).metadata
    ?.annotations;
  return annotations?.[NONCE] === one.nonce
    ? undefined
    : `${server.name} reads another canary than the one put at ${canaryKey(one)}`;
}

export async function deleteCanary(server: ApiServer, one: Canary): Promise<void> {
  const response = await server.request({ method: 'DELETE', path: objectPath(one.resource, one) });
  if (response.status < 300 || response.status === 404) return;
  throw new KeyferryError(
    'CanaryStuck',
    `${server.name} didn't delete the canary ${canaryKey(one)}: ${response.status} ${reasonOf(response.body)}`,
    { remedy: `delete ${canaryKey(one)} by hand once ${server.name} reads it`, retryable: true },
  );
}

function namespaceOf(one: Canary): { namespace?: string } {
  return one.namespace === undefined ? {} : { namespace: one.namespace };
}

/** Why an API server refused; canaries hold no content, so its own words may be shown. */
function reasonOf(body: unknown): string {
  const { reason = '', message = '' } = (body ?? {}) as { reason?: string; message?: string };
  return [reason, message]
    .filter((part) => part !== '')
    .join(': ')
    .slice(0, 300);
}
