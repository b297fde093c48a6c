import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import { after, type EtcdEntry, type EtcdPage } from '../cluster/etcd.ts';
import type { Fence } from '../cluster/fence.ts';
import { OUTGROWN, type Explanation } from '../cluster/refusal.ts';
import { objectOf, type Resource } from '../cluster/resources.ts';
import type { EnvelopeChain } from '../envelope/chain.ts';
import { KeyferryError } from '../errors.ts';
import { NOTHING, type ChunkCounts } from '../plan/counts.ts';
import { batchesOf, MAX_PUTS, writeBatch, type Replacement } from './batch.ts';
import { count, everySecond, jittered, reasonToStall, type ObjectResult } from './chunk.ts';
import type { ChunkLimits, ChunkOptions, ChunkResult, KeyRange, Refusal, RewriteEngine } from './engine.ts';
import { reseal } from './reseal.ts';

/** Looks at one value at most, while others write it again and again. */
const ATTEMPTS = 6;
/** Values that are read at once, in bytes: they are in memory, with what is put in the place of a page of them. */
const READ_BYTES = 2 * 1024 * 1024;
const FIRST_READ = 32;
/** Pages that are read at once: for each read etcd looks at every key up to the end of the shard (its treeIndex.Revisions). */
const PAGES_PER_READ = 8;

/** A page, of as many values as one transaction takes, that is being written; in order, so that the cursor moves past whole pages. */
interface Page {
  results: Promise<PromiseSettledResult<ObjectResult[]>>;
  /** Where the next one begins. */
  next: string;
}

/**
 * Rewrites values in etcd itself: opens each by whatever provider of the node's configuration opens it, seals what is stale
 * by the first, and puts many back in one transaction, each only where the value still lies that was read, and all only
 * while the fence stands. A concurrent writer wins, and what it wrote is looked at anew.
 *
 * It needs the keys, so it runs where they are: on a control-plane node. API servers meanwhile read both what is replaced
 * and what replaces it (promise 1); to them it is as if another of them had written.
 */
export class EtcdEngine implements RewriteEngine {
  readonly #cluster: Cluster;
  readonly #fence: Fence;
  readonly #chain: EnvelopeChain;

  /** @param chain - of the resource, as API servers have it now: the first provider writes */
  constructor(cluster: Cluster, fence: Fence, chain: EnvelopeChain) {
    this.#cluster = cluster;
    this.#fence = fence;
    this.#chain = chain;
  }

  async rewriteChunk(
    resource: Resource,
    range: KeyRange,
    limits: ChunkLimits,
    options: ChunkOptions,
  ): Promise<ChunkResult> {
    const { signal } = options;
    const counts: ChunkCounts = { ...NOTHING };
    const refusals: Refusal[] = [];
    const deadline = Date.now() + limits.timeMs;
    const allowed = everySecond(options.guard);
    let cursor: string | undefined = range.start;
    let stalled: string | undefined;

    const underWay: Page[] = [];
    let failed = false;
    /** @returns whether all pages so far were written */
    const settleOldest = async (): Promise<boolean> => {
      const page = underWay.shift();
      if (page === undefined) return true;
      const settled = await page.results;
      // What lies behind a page that failed is done again: it will be found current.
      if (failed) return false;
      if (settled.status === 'rejected') {
        failed = true;
        stalled = reasonToStall(settled.reason, signal);
        return false;
      }
      for (const result of settled.value) count(result, counts, refusals);
      cursor = page.next;
      options.onProgress(cursor, counts, refusals);
      return true;
    };

    let at: string | undefined = range.start;
    let ahead: readonly EtcdEntry[] = [];
    let begunWith = 0;
    let most = FIRST_READ;
    try {
      while (begunWith < limits.objects) {
        if (signal.aborted || Date.now() >= deadline) break;
        if (ahead.length === 0 && at !== undefined) {
          const limit = Math.floor(options.pace.batch(Math.min(most, limits.objects - begunWith)));
          const read = await this.#cluster.etcd.range({ start: at, end: range.end, limit });
          ahead = read.entries;
          at = nextOf(read);
          most = readNext(ahead);
        }
        const entries = ahead.slice(0, MAX_PUTS);
        const last = entries.at(-1);
        if (last === undefined) break;
        await allowed();
        stalled = await options.pace.next(entries.length);
        if (stalled !== undefined) break;
        // It may have rested for long.
        await allowed();
        ahead = ahead.slice(entries.length);
        if (underWay.length >= limits.concurrency && !(await settleOldest())) break;
        const results = settledOf(this.#rewritePage(resource, entries, allowed, options));
        underWay.push({ results, next: after(last.key) });
        begunWith += entries.length;
      }
    } catch (error) {
      stalled = reasonToStall(error, signal);
    } finally {
      // Nothing is written any more once a chunk has answered, in whatever way.
      await Promise.all(underWay.map(({ results }) => results));
    }
    while (underWay.length > 0) await settleOldest();
    if (at === undefined && ahead.length === 0 && stalled === undefined) cursor = undefined;
    // Asked once all is written: what etcd keeps from before it may still need the side that is left.
    const { revision } = await this.#cluster.etcd.count(range.start, range.start);
    return { cursor, counts, refusals, revision, ...(stalled === undefined ? {} : { stalled }) };
  }

  async #rewritePage(
    resource: Resource,
    entries: readonly EtcdEntry[],
    allowed: () => Promise<void>,
    { waived, signal, met, wrote }: ChunkOptions,
  ): Promise<ObjectResult[]> {
    const results: ObjectResult[] = [];
    const refuse = (key: string, { reason, remedy }: Explanation): void => {
      results.push({
        kind: 'refused',
        refusal: { resource: resource.name, ...objectOf(resource, key), reason, remedy },
      });
    };
    let why = 'other writers were faster each time';
    let toSee = entries.filter(({ key, modRevision }) => waived.get(key) !== modRevision);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const stale: Replacement[] = [];
      for (const { key, value, modRevision } of toSee) {
        const sealed = await reseal(this.#chain, value, Buffer.from(key));
        if (sealed.kind === 'refused') refuse(key, sealed);
        // It was stale when it was first seen: somebody has written it since, keyferry or another.
        else if (sealed.kind === 'current') results.push({ kind: attempt === 1 ? 'current' : 'rewritten' });
        else stale.push({ read: { key, modRevision }, value: sealed.value });
      }
      const lost: Replacement[] = [];
      for (const batch of batchesOf(stale)) {
        await allowed();
        const sentAt = Date.now();
        const outcome = await writeBatch(this.#cluster, this.#fence, batch);
        if (outcome.unanswered === undefined) met(sentAt, false);
        if (outcome.revision !== undefined) wrote(outcome.revision);
        for (const { read } of outcome.tooLarge) refuse(read.key, OUTGROWN);
        const written = batch.length - outcome.lost.length - outcome.tooLarge.length;
        for (let i = 0; i < written; i += 1) results.push({ kind: 'rewritten' });
        lost.push(...outcome.lost);
        if (outcome.unanswered !== undefined) {
          why = outcome.unanswered;
          await sleep(jittered(200 * attempt), undefined, { signal });
        }
      }
      if (lost.length === 0) return results;
      toSee = [];
      const there = await Promise.all(lost.map(({ read }) => this.#cluster.etcd.get(read.key)));
      for (const entry of there) {
        if (entry === undefined) results.push({ kind: 'gone' });
        else toSee.push(entry);
      }
    }
    if (toSee.length === 0) return results;
    throw new KeyferryError(
      'UnavailableObject',
      `${toSee.length} objects of ${resource.name} could not be rewritten in ${ATTEMPTS} attempts: ${why}`,
      { remedy: 'keyferry goes on as soon as etcd takes them', retryable: true },
    );
  }
}

/** Where the next read begins; undefined behind the last one. */
function nextOf({ entries, more }: EtcdPage): string | undefined {
  const last = entries.at(-1);
  return more && last !== undefined ? after(last.key) : undefined;
}

/** How many values the next read may have, by those of this one. */
function readNext(entries: readonly EtcdEntry[]): number {
  const bytes = entries.reduce((sum, { value }) => sum + value.length, 0);
  const fit = Math.floor((READ_BYTES * entries.length) / Math.max(1, bytes));
  return Math.max(1, Math.min(PAGES_PER_READ * MAX_PUTS, fit));
}

/** A page that fails while an earlier one is waited for isn't an unhandled rejection. */
async function settledOf<T>(one: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [settled] = await Promise.allSettled([one]);
  return settled;
}
