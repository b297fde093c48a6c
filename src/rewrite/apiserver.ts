import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiServer } from '../cluster/api-server.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { after, type EtcdEntry } from '../cluster/etcd.ts';
import { UNREACHABLE, type Explanation } from '../cluster/refusal.ts';
import { objectOf, objectPath, type Resource } from '../cluster/resources.ts';
import { KeyferryError } from '../errors.ts';
import { NOTHING, type ChunkCounts } from '../plan/counts.ts';
import { count, everySecond, jittered, reasonToStall, type ObjectResult } from './chunk.ts';
import type { ChunkLimits, ChunkOptions, ChunkResult, KeyRange, Refusal, RewriteEngine } from './engine.ts';
import { inLanes } from './lanes.ts';
import { outcomeOf } from './outcome.ts';
import { isTried, tryConversion, type Trial } from './round-trip.ts';

const PAGE = 500;
const ATTEMPTS = 6;

/**
 * Rewrites by a no-op PATCH per object: the API server reads the object with whatever provider opens it, finds it
 * stale, and seals it with the first provider. A concurrent writer wins; its write is sealed anew by itself.
 *
 * Keys are listed from etcd, always at its newest revision, so a compaction never ends a walk. The answer is a table
 * without objects: no content travels.
 */
export class ApiServerEngine implements RewriteEngine {
  readonly #cluster: Cluster;
  readonly #trial: Trial | undefined;
  #next = 0;

  /**
   * @param trial - of resources whose storage version changes: which objects' conversion is tried before they are rewritten, or
   * without rewriting them
   */
  constructor(cluster: Cluster, trial?: Trial) {
    this.#cluster = cluster;
    this.#trial = trial;
  }

  async rewriteChunk(
    resource: Resource,
    range: KeyRange,
    limits: ChunkLimits,
    options: ChunkOptions,
  ): Promise<ChunkResult> {
    const counts: ChunkCounts = { ...NOTHING };
    const refusals: Refusal[] = [];
    const begun = Date.now();
    const deadline = begun + limits.timeMs;
    let cursor: string | undefined = range.start;
    let stalled: string | undefined;

    const ended = (): boolean =>
      options.signal.aborted || Date.now() >= deadline || counts.examined >= limits.objects;

    const allowed = everySecond(options.guard);
    /** Rewrites what was listed, and moves the cursor with it. @returns why it ended early, where it did */
    const rewriteAll = async (entries: readonly EtcdEntry[]): Promise<string | undefined> => {
      const size = options.pace.batch(limits.concurrency);
      const opened = async (objects: number): Promise<string | undefined> => {
        await allowed();
        return await options.pace.next(objects);
      };
      let gate: ReturnType<typeof opened> | undefined;
      let why: string | undefined;
      await inLanes(entries, {
        lanes: limits.concurrency,
        may: async (index) => {
          if (index % size === 0) gate = opened(Math.min(size, entries.length - index));
          const closed = await gate;
          why ??= closed;
          if (why !== undefined || ended()) return false;
          // It may have rested for long.
          await allowed();
          return true;
        },
        work: async (entry) => {
          try {
            return options.waived.get(entry.key) === entry.modRevision
              ? { kind: 'waived' as const }
              : await this.#rewrite(resource, entry, options);
          } catch (error) {
            why ??= reasonToStall(error, options.signal);
            return undefined;
          }
        },
        // What lies before the cursor is never in doubt.
        done: (entry, result) => {
          count(result, counts, refusals);
          cursor = after(entry.key);
          options.onProgress(cursor, counts, refusals);
        },
      });
      return why;
    };

    while (cursor !== undefined && stalled === undefined && !ended()) {
      const page = await this.#cluster.etcd.range({
        start: cursor,
        end: range.end,
        limit: Math.min(PAGE, limits.objects - counts.examined),
        keysOnly: true,
      });
      stalled = await rewriteAll(page.entries);
      if (stalled === undefined && !page.more && cursorIsPast(cursor, page.entries)) cursor = undefined;
    }
    // Asked once all is written: what etcd keeps from before it may still need the side that is left.
    const { revision } = await this.#cluster.etcd.count(range.start, range.start);
    return { cursor, counts, refusals, revision, ...(stalled === undefined ? {} : { stalled }) };
  }

  async #rewrite(
    resource: Resource,
    entry: EtcdEntry,
    { signal, met, wrote }: ChunkOptions,
  ): Promise<ObjectResult> {
    const object = objectOf(resource, entry.key);
    const refused = (status: number | undefined, explanation: Explanation): ObjectResult => ({
      kind: 'refused',
      refusal: {
        resource: resource.name,
        ...object,
        ...(status === undefined ? {} : { status }),
        ...explanation,
      },
    });
    if (object.namespace === '') return refused(404, UNREACHABLE);
    if (this.#trial !== undefined && isTried(this.#trial, entry.key)) {
      const { apiVersions } = this.#trial;
      const lossy = await tryConversion(this.#cluster.apiServers, resource, object, apiVersions);
      if (lossy !== undefined) return refused(lossy.status, lossy.why);
    }
    if (this.#trial?.only === true) return { kind: 'current' };
    let why = '';
    const refusing = new Set<ApiServer>();
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const server = this.#pick(refusing);
      const sentAt = Date.now();
      try {
        const response = await server.request(noOpPatch(objectPath(resource, object)));
        met(sentAt, response.status === 429 || response.status === 503);
        const outcome = outcomeOf(response);
        switch (outcome.kind) {
          case 'done':
            if (outcome.resourceVersion === String(entry.modRevision)) return { kind: 'current' };
            wrote(Number(outcome.resourceVersion ?? 0));
            return { kind: 'rewritten' };
          case 'gone':
            return (await this.#isStill(entry)) ? refused(404, UNREACHABLE) : { kind: 'gone' };
          case 'refused':
            // What one server can't open another may: only what none opens is the object's own trouble.
            if (outcome.status === 500) refusing.add(server);
            if (outcome.status !== 500 || refusing.size === this.#cluster.apiServers.length)
              return refused(outcome.status, { reason: outcome.reason, remedy: outcome.remedy });
            // It is no attempt of its own: servers may be more than attempts.
            attempt -= 1;
            break;
          case 'again':
            why = `${server.name} answered ${outcome.why}`;
            await sleep(jittered(outcome.afterMs), undefined, { signal });
        }
      } catch (error) {
        if (!(error instanceof KeyferryError) || !error.retryable) throw error;
        why = error.message;
        await sleep(jittered(200 * attempt), undefined, { signal });
      }
    }
    throw new KeyferryError(
      'UnavailableObject',
      `an object of ${resource.name} could not be rewritten in ${ATTEMPTS} attempts: ${why}`,
      {
        remedy: 'keyferry goes on as soon as the API servers answer',
        retryable: true,
      },
    );
  }

  /** Whether etcd still has what was listed: a key may lie where no API server looks for an object. */
  async #isStill({ key, modRevision }: EtcdEntry): Promise<boolean> {
    const { entries } = await this.#cluster.etcd.range({
      start: key,
      end: after(key),
      limit: 1,
      keysOnly: true,
    });
    return entries[0]?.modRevision === modRevision;
  }

  /** One server after another, leaving out those that have refused already. */
  #pick(refusing: ReadonlySet<ApiServer>): ApiServer {
    const servers = this.#cluster.apiServers.filter((server) => !refusing.has(server));
    this.#next = (this.#next + 1) % this.#cluster.apiServers.length;
    const server = servers[this.#next % servers.length];
    if (server === undefined) throw new Error('the schema lets no cluster without API servers pass');
    return server;
  }
}

/** Changes nothing but the sealing: an API server writes anew what its first provider would seal otherwise. */
export function noOpPatch(path: string) {
  return {
    method: 'PATCH' as const,
    // The answer is a table, and includeObject=None keeps even the metadata (with its annotations) out of it.
    path: `${path}?fieldManager=keyferry&includeObject=None`,
    headers: {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
      'content-type': 'application/merge-patch+json',
    },
    body: {},
  };
}

function cursorIsPast(cursor: string, entries: readonly EtcdEntry[]): boolean {
  const last = entries.at(-1);
  return last === undefined || cursor > last.key;
}
