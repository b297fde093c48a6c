import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyferryError, messageOf } from '../src/errors.ts';
import { writeByRename } from './files.ts';
import { type HttpAnswer, type HttpClient } from './http.ts';
import { type Lab } from './lab.ts';
import { contentHash, seedObject, type SeedBody, type SeedObject } from './seed-content.ts';

export interface SeedOptions {
  readonly secrets: number;
  readonly configMaps?: number;
  /** Spread over so many namespaces (default 3), named `seed-1`… */
  readonly namespaces?: number;
  /** So many objects of each resource have close to 1 MiB (default 2). */
  readonly large?: number;
  /** The same number gives the same objects (default 1). */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** What was seeded, without its content: `seed.json`. */
export interface SeedManifest {
  readonly seed: number;
  readonly namespaces: readonly string[];
  /** From `<resource>/<namespace>/<name>` to the SHA-256 of the content, in hex. */
  readonly objects: Readonly<Record<string, string>>;
}

export interface ContentCheck {
  readonly checked: number;
  /** Not found any more. */
  readonly missing: readonly string[];
  /** Found with another content. */
  readonly different: readonly string[];
  /** Answered with an error, with the status. */
  readonly unreadable: readonly { readonly object: string; readonly status: number }[];
}

const PARALLEL = 32;
const TRIES = 5;

/** Fills the cluster with Secrets and ConfigMaps, through all API servers, and writes the manifest. */
export async function seedObjects(lab: Lab, options: SeedOptions): Promise<SeedManifest> {
  const seed = options.seed ?? 1;
  const namespaces = Array.from({ length: options.namespaces ?? 3 }, (_, i) => `seed-${i + 1}`);
  const shape = { seed, namespaces, large: options.large ?? 2 };
  const total = options.secrets + (options.configMaps ?? 0);
  const objects: Record<string, string> = {};
  await withClients(lab, async (clients) => {
    for (const name of namespaces) await ensureNamespace(clients[0], name);
    await parallel(total, options.signal, async (i) => {
      const object =
        i < options.secrets
          ? seedObject('secrets', i, shape)
          : seedObject('configmaps', i - options.secrets, shape);
      await create(clients[i % clients.length] ?? clients[0], object);
      objects[`${object.resource}/${object.namespace}/${object.name}`] = contentHash(object.body);
    });
  });
  const manifest: SeedManifest = { seed, namespaces, objects };
  writeByRename(lab.paths.seed, JSON.stringify(manifest));
  return manifest;
}

/** Reads every seeded object again, or the first `limit`, (GET, answered from etcd) and compares it with the manifest. */
export async function verifyContent(
  lab: Lab,
  options: { node?: string; limit?: number; signal?: AbortSignal } = {},
): Promise<ContentCheck> {
  const manifest = readManifest(lab);
  const objects = Object.entries(manifest.objects).slice(0, options.limit);
  const missing: string[] = [];
  const different: string[] = [];
  const unreadable: { object: string; status: number }[] = [];
  const nodes = options.node === undefined ? lab.nodes : [options.node];
  await withClients(
    lab,
    async (clients) => {
      await parallel(objects.length, options.signal, async (i) => {
        const [object, hash] = objects[i] ?? ['', ''];
        const [resource = '', namespace = '', name = ''] = object.split('/');
        const path = `/api/v1/namespaces/${namespace}/${resource}/${name}`;
        const answer = await persist(() => (clients[i % clients.length] ?? clients[0]).request('GET', path));
        if (answer.status === 404) missing.push(object);
        else if (answer.status !== 200) unreadable.push({ object, status: answer.status });
        else if (contentHash(JSON.parse(answer.text) as SeedBody) !== hash) different.push(object);
      });
    },
    nodes,
  );
  return { checked: objects.length, missing, different, unreadable };
}

export function readManifest(lab: Lab): SeedManifest {
  try {
    return JSON.parse(readFileSync(lab.paths.seed, 'utf8')) as SeedManifest;
  } catch (cause) {
    throw new KeyferryError('NotFoundSeed', `Nothing was seeded in ${lab.dir}.`, {
      remedy: 'Seed it first: keyferry lab up --secrets N.',
      cause,
    });
  }
}

/** Makes a namespace, unless it is there. */
export async function ensureNamespace(api: HttpClient, name: string): Promise<void> {
  await api.expect('POST', '/api/v1/namespaces', namespaceObject(name), [409]);
}

export function namespaceObject(name: string): unknown {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

/** 409 is fine: a first try whose answer was lost, or the same seed before. Content is compared by `verifyContent`. */
async function create(api: HttpClient, { resource, namespace, name, body }: SeedObject): Promise<void> {
  const answer = await persist(() =>
    api.request('POST', `/api/v1/namespaces/${namespace}/${resource}`, body),
  );
  if (answer.status === 201 || answer.status === 409) return;
  throw new KeyferryError('LabSeed', `${resource}/${namespace}/${name} was refused with ${answer.status}.`, {
    remedy: "Look at the API server's log in the lab's folder.",
  });
}

/** Tries again after a broken connection and after 429, which are about the moment and not about the object. */
async function persist(request: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await request();
      if (answer.status !== 429 || attempt === TRIES) return answer;
    } catch (cause) {
      if (attempt === TRIES) {
        throw new KeyferryError('UnreachableApiServer', `An API server of the lab: ${messageOf(cause)}.`, {
          remedy: 'See with "keyferry lab status" whether it runs.',
          cause,
        });
      }
    }
    await sleep(200 * attempt);
  }
}

async function withClients<T>(
  lab: Lab,
  use: (clients: readonly [HttpClient, ...HttpClient[]]) => Promise<T>,
  nodes: readonly string[] = lab.nodes,
): Promise<T> {
  const [first = '', ...others] = nodes;
  const clients: [HttpClient, ...HttpClient[]] = [lab.api(first), ...others.map((node) => lab.api(node))];
  try {
    return await use(clients);
  } finally {
    for (const client of clients) client.close();
  }
}

/** Runs `work` for 0 … count-1, `PARALLEL` at a time; the first error ends it once the others have answered. */
async function parallel(
  count: number,
  signal: AbortSignal | undefined,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < count && !failed) {
      signal?.throwIfAborted();
      try {
        await work(next++);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: PARALLEL }, lane));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
