import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiResponse, ApiServer } from '../cluster/api-server.ts';
import { canaryObject, type Canary } from '../cluster/canary.ts';
import { anyObject } from '../cluster/conversion.ts';
import type { EtcdClient } from '../cluster/etcd.ts';
import { objectOf, objectPath, type Resource } from '../cluster/resources.ts';
import { KeyferryError } from '../errors.ts';
import { noOpPatch } from './apiserver.ts';
import { outcomeOf } from './outcome.ts';

/** What became of an update as the rewriting sends it, in one namespace. */
export interface UpdateProbe {
  resource: string;
  /** Absent for resources without namespaces. */
  namespace?: string;
  /** API servers by which it was refused, and why. */
  refusals: { apiServer: string; status: number; reason: string }[];
  /** Why nothing could be updated here. */
  untried?: string;
  /** The probe's object, where it could not be deleted again. */
  leftBehind?: string;
}

const ATTEMPTS = 3;
const NAME = /^keyferry-probe-[0-9a-f]{16}$/;

/**
 * Creates an object in a namespace, updates it without change through each API server, and deletes it. Where none can be
 * created, an update of one that is there is tried, as a dry run.
 */
export async function probeUpdate(
  servers: readonly [ApiServer, ...ApiServer[]],
  etcd: EtcdClient,
  resource: Resource,
  namespace: string | undefined,
): Promise<UpdateProbe> {
  const place = namespace === undefined ? {} : { namespace };
  const name = `keyferry-probe-${randomBytes(8).toString('hex')}`;
  const one: Canary = { resource, ...place, name, nonce: '' };
  const [first] = servers;
  let found: Omit<UpdateProbe, 'resource' | 'namespace'> | undefined;
  let leftBehind: string | undefined;
  try {
    const refused = await create(first, one);
    found =
      refused === undefined
        ? { refusals: await updates(servers, objectPath(resource, one)) }
        : await dryRun(servers, await anyObject(etcd, resource, namespace), resource, refused);
  } finally {
    // Asked for also after a creation that was not answered: it may have been done.
    leftBehind = await remove(first, resource, one);
  }
  return {
    resource: resource.name,
    ...place,
    ...found,
    ...(leftBehind === undefined ? {} : { leftBehind }),
  };
}

/**
 * Deletes what probes left that died in between, in all namespaces.
 *
 * @returns what can't be deleted
 */
export async function sweepProbes(
  server: ApiServer,
  etcd: EtcdClient,
  resource: Resource,
  namespaces: readonly string[],
): Promise<string[]> {
  const stuck: string[] = [];
  for (const place of resource.namespaced ? namespaces.map((name) => `${name}/`) : ['']) {
    const start = `${resource.etcdPrefix}${place}keyferry-probe-`;
    // '.' comes after '-' and before all that a name may hold besides.
    const page = await etcd.range({ start, end: `${start.slice(0, -1)}.`, limit: 100, keysOnly: true });
    for (const { key } of page.entries) {
      const object = objectOf(resource, key);
      if (!NAME.test(object.name)) continue;
      const left = await remove(server, resource, object);
      if (left !== undefined) stuck.push(left);
    }
  }
  return stuck;
}

/** @returns why it was not created */
async function create(server: ApiServer, one: Canary): Promise<string | undefined> {
  const response = await server.request({
    method: 'POST',
    path: objectPath(one.resource, one.namespace === undefined ? {} : { namespace: one.namespace }),
    body: canaryObject(one),
  });
  return response.status < 300 ? undefined : refusalOf(response);
}

async function dryRun(
  servers: readonly ApiServer[],
  object: { namespace?: string; name: string } | undefined,
  resource: Resource,
  notCreated: string,
): Promise<{ refusals: UpdateProbe['refusals']; untried?: string }> {
  const why = `an object could not be created (${notCreated})`;
  if (object === undefined) return { refusals: [], untried: `${why}, and none is there` };
  const refusals = await updates(servers, objectPath(resource, object), '&dryRun=All');
  // What a webhook with side effects answers to any dry run says nothing of updates.
  const answer = refusals.find(({ status }) => status === 400);
  return answer === undefined ? { refusals } : { refusals: [], untried: `${why}, nor a dry run be made` };
}

/** The engine's own PATCH, through each API server; those that were refused. */
async function updates(
  servers: readonly ApiServer[],
  path: string,
  query = '',
): Promise<UpdateProbe['refusals']> {
  const answers = await Promise.all(
    servers.map(async (server) => {
      const refusal = await update(server, path, query);
      return refusal === undefined ? [] : [{ apiServer: server.name, ...refusal }];
    }),
  );
  return answers.flat();
}

async function update(
  server: ApiServer,
  path: string,
  query: string,
): Promise<{ status: number; reason: string } | undefined> {
  const patch = noOpPatch(path);
  for (let attempt = 1; ; attempt += 1) {
    const response = await server.request({ ...patch, path: `${patch.path}${query}` });
    const outcome = outcomeOf(response);
    if (outcome.kind === 'refused') return { status: outcome.status, reason: outcome.reason };
    if (outcome.kind !== 'again') return undefined;
    if (attempt === ATTEMPTS) return { status: response.status, reason: outcome.why };
    await sleep(outcome.afterMs);
  }
}

/** @returns the object, and why it is still there */
async function remove(
  server: ApiServer,
  resource: Resource,
  object: { namespace?: string; name: string },
): Promise<string | undefined> {
  let why: string;
  try {
    const response = await server.request({ method: 'DELETE', path: objectPath(resource, object) });
    if (response.status < 300 || response.status === 404) return undefined;
    why = refusalOf(response);
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    why = error.message;
  }
  const name = [object.namespace, object.name].filter((part) => part !== undefined).join('/');
  return `${resource.name} ${name} (${why})`;
}

function refusalOf(response: ApiResponse): string {
  const outcome = outcomeOf(response);
  return outcome.kind === 'refused' ? `${outcome.status} ${outcome.reason}` : String(response.status);
}
