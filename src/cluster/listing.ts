import type { EtcdClient } from './etcd.ts';

/** etcd loads values even to list their keys: so many bytes of them, and so many keys, at once. */
const LISTED = { bytes: 32 * 1024 * 1024, least: 500, most: 20_000 };

/**
 * How many keys to list at once: for each listing etcd looks at every key up to the end of the range, so they are as many as
 * their values let them be.
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
