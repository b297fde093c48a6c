import { after, type EtcdClient, type EtcdEntry } from '../cluster/etcd.ts';

/** Bytes a page aims at: values go from 100 B to more than 1 MiB, and memory stays flat. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_PAGE = 64;
/** Times the 1.5 MiB of the largest value, a page stays below what one answer of etcd may hold. */
const MAX_PAGE = 150;
/** Keys that are listed at once: etcd loads their values to list them, so they are fewer where those are large. */
const KEYS = { least: 1_000, first: 5_000, most: 20_000, bytes: 32 * 1024 * 1024 };
/** Keys that are looked through at once for those that changed. */
const WINDOW = 2_000;

export interface Page {
  entries: EtcdEntry[];
  /** A revision of etcd at which nothing was passed over yet. */
  revision: number;
  /** Where the next page begins; undefined after the last one. */
  next: string | undefined;
}

/**
 * The values of a range, page by page.
 *
 * @param sinceRevision - only those that were written at this revision of etcd or later
 */
export function pagesOf(
  etcd: EtcdClient,
  start: string,
  end: string,
  sinceRevision?: number,
): AsyncGenerator<Page> {
  return sinceRevision === undefined
    ? pagesByWindows(etcd, start, end)
    : changedPages(etcd, start, end, sinceRevision);
}

/**
 * The values of a range, window by window: asked for a page of it, etcd looks at every key up to the end of the range, to say
 * how many there are (its treeIndex.Revisions). With a million of them that takes longer than all else.
 */
async function* pagesByWindows(etcd: EtcdClient, start: string, end: string): AsyncGenerator<Page> {
  let size = FIRST_PAGE;
  let limit = KEYS.first;
  for (let at: string | undefined = start; at !== undefined;) {
    const window = await etcd.range({ start: at, end, limit, keysOnly: true });
    const keys = window.entries.map(({ key }) => key);
    const last = keys.at(-1);
    const next: string | undefined = window.more && last !== undefined ? after(last) : undefined;
    let [objects, bytes] = [0, 0];
    // What appeared between the listed keys since lies in their ranges.
    for (let from: string = at, i = 0; ;) {
      i += size;
      const to: string | undefined = keys[i] ?? next;
      for await (const page of wholePages(etcd, from, to ?? end, { first: size })) {
        yield { ...page, next: page.next ?? to };
        if (page.entries.length > 0) size = pageAfter(page.entries);
        objects += page.entries.length;
        bytes += bytesOf(page.entries);
      }
      if (to === undefined || to === next) break;
      from = to;
    }
    const wanted = Math.round((KEYS.bytes * objects) / Math.max(1, bytes));
    limit = Math.min(KEYS.most, Math.max(KEYS.least, wanted));
    at = next;
  }
}

/** The values of a short range, or those of them that were written at a revision or later. */
async function* wholePages(
  etcd: EtcdClient,
  start: string,
  end: string,
  { first = FIRST_PAGE, minModRevision }: { first?: number; minModRevision?: number },
): AsyncGenerator<Page> {
  const ask = async (from: string, limit: number) =>
    await etcd.range({
      start: from,
      end,
      limit,
      ...(minModRevision === undefined ? {} : { minModRevision }),
    });
  for (let page = await ask(start, first); ;) {
    const { entries, more, revision } = page;
    const last = entries.at(-1);
    const next = more && last !== undefined ? after(last.key) : undefined;
    // etcd gets the next page together while this one is counted.
    const ahead = next === undefined ? undefined : settled(ask(next, pageAfter(entries)));
    yield { entries, revision, next };
    if (ahead === undefined) return;
    page = valueOf(await ahead);
  }
}

/** Values of the next page, by the sizes of these. */
function pageAfter(entries: readonly EtcdEntry[]): number {
  const wanted = (PAGE_BYTES * entries.length) / Math.max(1, bytesOf(entries));
  return Math.round(Math.min(MAX_PAGE, Math.max(8, wanted)));
}

function bytesOf(entries: readonly EtcdEntry[]): number {
  return entries.reduce((sum, { value }) => sum + value.length, 0);
}

/** One that fails while something else is done isn't an unhandled rejection; nor is one that nobody waits for any more. */
async function settled<T>(one: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [result] = await Promise.allSettled([one]);
  return result;
}

function valueOf<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

/**
 * Finds what changed by looking through windows of keys, and reads the values in between: asked for changes at once, etcd
 * would load every object of the resource for each page.
 */
async function* changedPages(
  etcd: EtcdClient,
  start: string,
  end: string,
  sinceRevision: number,
): AsyncGenerator<Page> {
  for (let at: string | undefined = start; at !== undefined;) {
    const { entries, more, revision } = await etcd.range({
      start: at,
      end,
      limit: WINDOW,
      keysOnly: true,
    });
    const last = entries.at(-1);
    at = more && last !== undefined ? after(last.key) : undefined;
    const changed = entries.filter((entry) => entry.modRevision >= sinceRevision);
    const [first] = changed;
    if (first === undefined) {
      yield { entries: [], revision, next: at };
      continue;
    }
    const changedEnd = after(changed.at(-1)?.key ?? first.key);
    for await (const page of wholePages(etcd, first.key, changedEnd, { minModRevision: sinceRevision })) {
      // The window's revision: what changed around these values since it was read is not among them.
      yield { entries: page.entries, revision, next: page.next ?? at };
    }
  }
}
