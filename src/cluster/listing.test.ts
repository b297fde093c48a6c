import { describe, expect, test } from '@jest/globals';
import type { EtcdPage, RangeQuery } from './etcd.ts';
import { keyWindows } from './listing.ts';

const END = '/registry/secrets0';
const keyOf = (i: number): string => `/registry/secrets/shop/s${String(i).padStart(6, '0')}`;

/** Stands for an etcd, and counts the keys that it would have to look at. */
class PretendedEtcd {
  looked = 0;
  asked: RangeQuery[] = [];
  keys: string[];

  constructor(count: number) {
    this.keys = Array.from({ length: count }, (_, i) => keyOf(2 * i));
  }

  range(query: RangeQuery): Promise<EtcdPage> {
    const all = this.keys.filter((key) => key >= query.start && key < query.end);
    this.looked += all.length;
    this.asked.push(query);
    return Promise.resolve({
      entries: all.slice(0, query.limit).map((key) => ({ key, value: Buffer.alloc(0), modRevision: 1 })),
      more: all.length > query.limit,
      count: all.length,
      revision: 7,
    });
  }
}

async function listed(etcd: PretendedEtcd, limit = 100, start = '/registry/secrets/'): Promise<string[]> {
  const keys: string[] = [];
  let at = start;
  for await (const window of keyWindows(etcd, start, END, () => limit)) {
    expect(window.start).toBe(at);
    expect(window.entries.length).toBeLessThanOrEqual(limit);
    keys.push(...window.entries.map(({ key }) => key));
    at = window.end;
  }
  expect(at).toBe(END);
  return keys;
}

describe('windows of keys', () => {
  test('have every key once and in order', async () => {
    const etcd = new PretendedEtcd(1_234);
    expect(await listed(etcd)).toEqual(etcd.keys);
    expect(await listed(new PretendedEtcd(0))).toEqual([]);
  });

  test('make etcd look at each key a few times, once one listing is done', async () => {
    const etcd = new PretendedEtcd(10_000);
    await listed(etcd);
    expect(etcd.looked).toBeGreaterThan(40 * 10_000);
    for (const limit of [100, 60, 250]) {
      etcd.looked = 0;
      expect(await listed(etcd, limit)).toEqual(etcd.keys);
      expect(etcd.looked).toBeLessThan(4 * 10_000);
    }
  });

  test('have what appeared since, and are not made smaller by what is gone', async () => {
    const etcd = new PretendedEtcd(2_000);
    await listed(etcd);
    etcd.keys = [
      ...Array.from({ length: 900 }, (_, i) => keyOf(i)),
      ...etcd.keys.filter((key) => key >= keyOf(3_000)),
      `${keyOf(3_999)}-behind`,
    ];
    expect(await listed(etcd)).toEqual(etcd.keys);
  });

  test('begin anywhere, and end at the end of the range, not at what is known of another', async () => {
    const etcd = new PretendedEtcd(2_000);
    await listed(etcd);
    expect(await listed(etcd, 100, `${keyOf(1_234)}\0`)).toEqual(
      etcd.keys.filter((key) => key > keyOf(1_234)),
    );
    etcd.asked = [];
    const others = [];
    for await (const window of keyWindows(etcd, '/registry/pods/', '/registry/pods0', () => 100))
      others.push(window);
    expect(etcd.asked).toEqual([
      { start: '/registry/pods/', end: '/registry/pods0', limit: 100, keysOnly: true },
    ]);
    expect(others).toHaveLength(1);
  });
});
