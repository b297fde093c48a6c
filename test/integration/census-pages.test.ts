import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { pagesOf } from '../../src/census/pages.ts';
import { endOfPrefix, type EtcdClient, type EtcdPage, type RangeQuery } from '../../src/cluster/etcd.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';

jest.setTimeout(180_000);

/** More than are listed at once, twice. */
const OBJECTS = 26_000;
const VALUE = Buffer.from('a value');
const PREFIX = '/registry/paged/';
const END = endOfPrefix(PREFIX);

function keyOf(i: number): string {
  return `${PREFIX}default/s${String(i).padStart(6, '0')}`;
}

/** What a census must not miss: its pages are read between keys that were listed a moment before. */
describe('the pages of a census', () => {
  const cleanUp = new CleanUp();
  const keys = Array.from({ length: OBJECTS }, (_, i) => keyOf(2 * i));
  let etcd: EtcdAlone;

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(), (up) => up.down());
    await etcd.put(keys, VALUE);
  });

  afterAll(() => cleanUp.run());

  async function seen(client: Pick<EtcdClient, 'range'>, start = PREFIX) {
    const found: { key: string; next: string | undefined; page: number }[] = [];
    let page = 0;
    for await (const { entries, next } of pagesOf(client as EtcdClient, start, END)) {
      for (const { key, value } of entries) {
        expect(value.equals(VALUE)).toBe(true);
        found.push({ key, next, page });
      }
      page += 1;
    }
    return found;
  }

  /** Does something right after each listing of keys. */
  function whenListed(deed: (listed: EtcdPage) => Promise<unknown>): Pick<EtcdClient, 'range'> {
    return {
      range: async (query: RangeQuery) => {
        const page = await etcd.client.range(query);
        if (query.keysOnly === true) await deed(page);
        return page;
      },
    };
  }

  test('have every key once and in order, however many there are', async () => {
    expect((await seen(etcd.client)).map(({ key }) => key)).toEqual(keys);
  });

  test('go on behind any page, and leave nothing out', async () => {
    const all = await seen(etcd.client);
    const last = all.filter(({ page }, i) => all[i + 1]?.page !== page);
    // Of a window's first and last pages, and some in between.
    for (const { key, next } of last.filter((_, i) => i % 23 === 0 || i > last.length - 3)) {
      const rest = next === undefined ? [] : (await seen(etcd.client, next)).map((one) => one.key);
      expect(rest).toEqual(keys.slice(keys.indexOf(key) + 1));
    }
  });

  test('have what appears between the keys that were listed, and miss nothing for what is deleted', async () => {
    const appeared: string[] = [];
    const deleted: string[] = [];
    const found = await seen(
      whenListed(async ({ entries }) => {
        const listed = entries.filter((_, i) => i % 100 === 50 || i === entries.length - 1);
        // Right behind a listed key, and behind the last one of a window, too.
        const fresh = listed.map(({ key }) => keyOf(Number(key.slice(-6)) + 1));
        const gone = entries.flatMap(({ key }, i) => (i % 1000 === 500 ? [key] : []));
        await etcd.put(fresh, VALUE);
        for (const key of gone) {
          await etcd.client.txn({
            compare: [],
            success: [{ request_delete_range: { key: Buffer.from(key) } }],
            failure: [],
          });
        }
        appeared.push(...fresh);
        deleted.push(...gone);
      }),
    );
    const expected = [...keys, ...appeared].filter((key) => !deleted.includes(key)).sort();
    expect(appeared.length).toBeGreaterThan(200);
    expect(deleted.length).toBeGreaterThan(20);
    expect(found.map(({ key }) => key)).toEqual(expected);
  });

  test('are none where there is nothing', async () => {
    const pages = [];
    for await (const page of pagesOf(etcd.client, '/registry/none/', '/registry/none0')) pages.push(page);
    expect(pages).toEqual([expect.objectContaining({ entries: [], next: undefined })]);
  });
});
