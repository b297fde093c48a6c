import type { ApiResponse, ApiServer } from '../cluster/api-server.ts';
import { endOfPrefix, type EtcdClient } from '../cluster/etcd.ts';
import { keysAtOnceOf, keyWindows } from '../cluster/listing.ts';
import { explain, isPassing } from '../cluster/refusal.ts';
import { objectOf, objectPath, type Resource } from '../cluster/resources.ts';
import { KeyferryError } from '../errors.ts';
import { addReads, MAX_EXAMPLES, NO_READS, type ReadsTally } from '../plan/tally.ts';

const CONCURRENCY = 16;
const PAGE = 500;

export interface Reads extends ReadsTally {
  /** Whether it was asked to stop before the end. */
  stopped: boolean;
}

export interface ReadsPart {
  tally: ReadsTally;
  cursor: string | undefined;
}

/** Reads named objects through each API server. A GET without resourceVersion goes past the watch cache; a LIST doesn't. */
export async function readObjects(
  servers: readonly ApiServer[],
  resource: Resource,
  objects: readonly { namespace?: string; name: string }[],
  signal: AbortSignal,
  onRead: () => void,
): Promise<Reads> {
  const part: Reads = { read: 0, failed: 0, failures: [], stopped: false };
  const read = async (server: ApiServer, object: (typeof objects)[number]) => {
    const response = await readOne(server, resource, object);
    const { status } = response;
    // Deleted since it was listed: there is nothing left to read.
    if (status === 404) return;
    part.read += 1;
    if (status === 200) return;
    part.failed += 1;
    if (part.failures.length >= MAX_EXAMPLES) return;
    const why = explain(response);
    part.failures.push({ resource: resource.name, ...object, apiServer: server.name, status, ...why });
  };
  // All readers take from the same queue. One that leaves it closes it, and the others stop as well.
  const queue = each(objects);
  const reader = async () => {
    for (const object of queue) {
      if (signal.aborted) {
        part.stopped = true;
        return;
      }
      await Promise.all(servers.map((server) => read(server, object)));
      onRead();
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, reader));
  return part;
}

function* each<T>(all: readonly T[]): Generator<T, void> {
  yield* all;
}

/**
 * Reads objects of a resource through each API server, from a cursor on.
 *
 * @param options - `every`: one object of so many is read, the first in any case; `timeMs`: milliseconds after which no new
 * page is begun
 */
export async function readFrom(
  etcd: EtcdClient,
  servers: readonly ApiServer[],
  resource: Resource,
  cursor: string | undefined,
  options: {
    every: number;
    timeMs: number;
    /** By key, the revision of values that aren't read. */
    waived: ReadonlyMap<string, number>;
    signal: AbortSignal;
    onProgress: () => void;
  },
): Promise<ReadsPart> {
  const deadline = Date.now() + options.timeMs;
  const end = endOfPrefix(resource.etcdPrefix);
  let tally = NO_READS;
  let at: string | undefined = cursor ?? resource.etcdPrefix;
  let passed = 0;
  // Few are read of each page of a sample.
  const { count } = await etcd.count(at, end);
  const limit = Math.min(PAGE * options.every, await keysAtOnceOf(etcd, count));
  for await (const window of keyWindows(etcd, at, end, () => limit)) {
    if (options.signal.aborted || Date.now() >= deadline) break;
    const chosen = window.entries.filter((_, i) => (passed + i) % options.every === 0);
    passed += window.entries.length;
    const { stopped, ...part } = await readObjects(
      servers,
      resource,
      chosen
        .filter((entry) => options.waived.get(entry.key) !== entry.modRevision)
        .map((entry) => objectOf(resource, entry.key)),
      options.signal,
      options.onProgress,
    );
    // Stopped within a window: it is read again from its begin.
    if (stopped) break;
    tally = addReads(tally, part);
    options.onProgress();
    at = window.end === end ? undefined : window.end;
  }
  return { tally, cursor: at };
}

/**
 * Reads one object through one API server. A 500 is asked for once more: a single one proves nothing.
 *
 * @throws KeyferryError `UnavailableApiServer`, retryable, for an answer that says nothing of the object
 */
export async function readOne(
  server: ApiServer,
  resource: Resource,
  object: { namespace?: string; name: string },
): Promise<ApiResponse> {
  const get = async (): Promise<ApiResponse> =>
    await server.request({
      method: 'GET',
      // A table without objects: the server opens the value all the same, and no content travels.
      path: `${objectPath(resource, object)}?includeObject=None`,
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    });
  const first = await get();
  const response = first.status === 500 ? await get() : first;
  if ([401, 429, 502, 503, 504].includes(response.status) || isPassing(response)) {
    const why = `${response.status} (${explain(response).reason})`;
    throw new KeyferryError('UnavailableApiServer', `${server.name} answered ${why} to a read`, {
      remedy: 'keyferry tries again; a lasting 429 with an empty watch cache means objects that no key opens',
      retryable: true,
    });
  }
  return response;
}
