import { after, type EtcdClient, type EtcdEntry, type EtcdPage, type RangeQuery } from '../cluster/etcd.ts';
import { keysAtOnce, keysAtOnceOf, keyWindows } from '../cluster/listing.ts';

/** Bytes a page aims at: values go from 100 B to more than 1 MiB, and memory stays flat. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_PAGE = 64;
/** Times the 1.5 MiB of the largest value, a page stays below what one answer of etcd may hold. */
const MAX_PAGE = 150;
/** Keys of which etcd loads all values, to tell those that changed: each page of them costs it as much again. */
const SPAN = 2_000;

type KeyRange = Pick<RangeQuery, 'start' | 'end'>;

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
  let limit = keysAtOnce(Infinity);
  for await (const window of keyWindows(etcd, start, end, () => limit)) {
    const keys = window.entries.map(({ key }) => key);
    let [objects, bytes] = [0, 0];
    for await (const page of pagesBetween(etcd, window.start, keys, window.end, size)) {
      yield { ...page, next: page.next === end ? undefined : page.next };
      if (page.entries.length > 0) size = pageAfter(page.entries);
      objects += page.entries.length;
      bytes += bytesOf(page.entries);
    }
    limit = keysAtOnce(bytes / Math.max(1, objects));
  }
}

/** The values from one key to another; what appeared between the keys that were listed lies in their ranges. */
async function* pagesBetween(
  etcd: EtcdClient,
  start: string,
  keys: readonly string[],
  end: string,
  first: number,
): AsyncGenerator<Page> {
  let from: string | undefined = start;
  let passed = 0;
  const askFor = (size: number) => {
    if (from === undefined) return undefined;
    passed += size;
    const to = keys[passed];
    const range = { start: from, end: to ?? end };
    from = to;
    return { range, page: settled(etcd.range({ ...range, limit: size })) };
  };
  for (let asked = askFor(first); asked !== undefined;) {
    const { range } = asked;
    const page = valueOf(await asked.page);
    asked = askFor(page.entries.length === 0 ? first : pageAfter(page.entries));
    for await (const one of wholePages(etcd, range, { first: page })) {
      yield { ...one, next: one.next ?? range.end };
    }
  }
}

/** The values of a short range, or those of them that were written at a revision or later. */
async function* wholePages(
  etcd: EtcdClient,
  { start, end }: KeyRange,
  { first, minModRevision }: { first?: EtcdPage; minModRevision?: number },
): AsyncGenerator<Page> {
  const ask = async (from: string, limit: number) =>
    await etcd.range({
      start: from,
      end,
      limit,
      ...(minModRevision === undefined ? {} : { minModRevision }),
    });
  for (let page = first ?? (await ask(start, FIRST_PAGE)); ;) {
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
 * Finds what changed by looking through many keys at a time, and reads the values in between: asked for changes at once, etcd
 * would load every object of the resource for each page.
 */
async function* changedPages(
  etcd: EtcdClient,
  start: string,
  end: string,
  sinceRevision: number,
): AsyncGenerator<Page> {
  const { count } = await etcd.count(start, end);
  const limit = await keysAtOnceOf(etcd, count);
  for await (const window of keyWindows(etcd, start, end, () => limit)) {
    const { entries, revision } = window;
    for (const range of changedRanges(entries, sinceRevision)) {
      for await (const page of wholePages(etcd, range, { minModRevision: sinceRevision })) {
        // The window's revision: what changed around these values since it was read is not among them.
        yield { entries: page.entries, revision, next: page.next ?? range.end };
      }
    }
    yield { entries: [], revision, next: window.end === end ? undefined : window.end };
  }
}

/** Of each so many keys the range that holds what was written since, where anything was. */
function changedRanges(entries: readonly EtcdEntry[], sinceRevision: number): KeyRange[] {
  const ranges: KeyRange[] = [];
  for (let i = 0; i < entries.length; i += SPAN) {
    const changed = entries.slice(i, i + SPAN).filter((entry) => entry.modRevision >= sinceRevision);
    const [first] = changed;
    if (first === undefined) continue;
    ranges.push({ start: first.key, end: after(changed.at(-1)?.key ?? first.key) });
  }
  return ranges;
}
