import { after, type EtcdClient, type EtcdEntry } from './etcd.ts';

/** etcd loads values even to list their keys: so many bytes of them, and so many keys, at once. */
const LISTED = { bytes: 32 * 1024 * 1024, least: 500, most: 20_000 };

/**
 * How many keys to list at once: for each listing etcd looks at every key up to the end of the range (its treeIndex.Revisions),
 * so they are as many as their values let them be.
 *
 * @param meanBytes - of a value; Infinity where nothing is known of them
 */
export function keysAtOnce(meanBytes: number): number {
  return Math.round(Math.min(LISTED.most, Math.max(LISTED.least, LISTED.bytes / meanBytes)));
}

/**
 * As {@link keysAtOnce}, by what etcd's file holds: whatever else lies there counts as theirs, so that they are rather too few.
 *
 * @param count - keys of the range
 */
export async function keysAtOnceOf(etcd: Pick<EtcdClient, 'status'>, count: number): Promise<number> {
  const { dbSize } = await etcd.status();
  return keysAtOnce(dbSize / Math.max(1, count));
}

/** Keys that were listed together. */
export interface KeyWindow {
  start: string;
  /** Exclusive; where the next window begins, if this isn't the last one. */
  end: string;
  /** Without values. */
  entries: EtcdEntry[];
  /** etcd's revision when it listed them. */
  revision: number;
}

/**
 * Lists the keys of a range, window by window; together the windows cover all of it.
 *
 * @param limit - keys of the next window at most
 */
export async function* keyWindows(
  etcd: Pick<EtcdClient, 'range'>,
  start: string,
  end: string,
  limit: () => number,
): AsyncGenerator<KeyWindow, void> {
  const cuts = cutsOf(etcd);
  for (let at = start; ;) {
    const stop = cuts.next(at, end);
    const most = limit();
    const { entries, more, count, revision } = await etcd.range({
      start: at,
      end: stop,
      limit: most,
      keysOnly: true,
    });
    const last = entries.at(-1);
    const to = more && last !== undefined ? after(last.key) : stop;
    if (more && count > FAR * most) cuts.add(to);
    yield { start: at, end: to, entries, revision };
    if (to === end) return;
    at = to;
  }
}

/** Times a window: where more keys lie ahead, looking at all of them costs etcd more than the window itself. */
const FAR = 4;
/** Of one etcd. Beyond that, most are where nothing lies any more. */
const MOST_CUTS = 1_000;

/**
 * Where windows ended of which much lay ahead. The next listing ends a window there, so that etcd looks only as far: of a
 * million keys, eight thousand at a time, it would look at sixty million otherwise. Nothing depends on what lies there by
 * then: any cuts divide a range into ranges.
 */
class Cuts {
  #sorted: string[] = [];

  /** The first one behind a key, if there is one before the end. */
  next(key: string, end: string): string {
    const cut = this.#sorted.find((one) => inEtcdsOrder(one, key) > 0);
    return cut === undefined || inEtcdsOrder(cut, end) > 0 ? end : cut;
  }

  add(cut: string): void {
    const others = this.#sorted.length < MOST_CUTS ? this.#sorted : [];
    this.#sorted = [...others, cut].sort(inEtcdsOrder);
  }
}

function inEtcdsOrder(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

const known = new WeakMap<object, Cuts>();

/** What this process knows of an etcd. */
function cutsOf(etcd: object): Cuts {
  const cuts = known.get(etcd) ?? new Cuts();
  known.set(etcd, cuts);
  return cuts;
}
