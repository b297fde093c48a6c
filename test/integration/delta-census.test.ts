import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { countFrom } from '../../src/census/count.ts';
import { compileNames } from '../../src/envelope/header.ts';
import { addTally, emptyTally, type CensusTally } from '../../src/plan/tally.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';
import { SECRETS } from '../../src/cluster/resources.test-helper.ts';

jest.setTimeout(120_000);

const sealed = (key: string): Buffer =>
  Buffer.concat([Buffer.from(`k8s:enc:aescbc:v1:${key}:`), Buffer.alloc(48)]);
const OLD = sealed('old');
// Changes come in groups of ten that a census tells apart: what one counts twice doesn't make up for what it misses.
const groupOf = (i: number): string => `new${Math.floor(i / 10)}`;

const names = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `s${String(from + i).padStart(5, '0')}`);
const keys = (of: readonly string[]): string[] => of.map((name) => `/registry/secrets/default/${name}`);

describe('a delta census of an etcd with more keys than a window and more changes than a page', () => {
  const cleanUp = new CleanUp();
  let etcd: EtcdAlone;
  let since: number;
  // The first and the last key, one by one across windows, and a stretch of several pages that crosses from one window into the next.
  const changed = [...new Set([...names(0, 1), ...names(1_700, 2_300), 's03000', 's04100', 's04999'])];

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(), (up) => up.down());
    await etcd.put(keys(names(0, 5_000)), OLD);
    // Neighbours of the resource, and what was written before, are not its changes.
    since = (await etcd.put(['/registry/secretsandmore/x', '/registry/configmaps/x'], OLD)) + 1;
    for (let i = 0; i < changed.length; i += 10)
      await etcd.put(keys(changed.slice(i, i + 10)), sealed(groupOf(i)));
    await etcd.remove(keys(names(2_500, 2_510)));
    await etcd.put(['/registry/secretsandmore/y', '/registry/configmaps/y'], OLD);
  });

  afterAll(() => cleanUp.run());

  /** With no time at all, each page is a call of its own: the cursor is tried at every page. */
  async function census(
    timeMs: number,
    sinceRevision?: number,
    waived?: ReadonlyMap<string, number>,
  ): Promise<CensusTally> {
    let whole = emptyTally();
    let cursor: string | undefined;
    do {
      const part = await countFrom(
        etcd.client,
        SECRETS,
        cursor,
        { type: 'aescbc', keyName: 'old' },
        compileNames([{ type: 'aescbc', keyName: 'old' }]),
        {
          timeMs,
          ...(sinceRevision === undefined ? {} : { sinceRevision }),
          ...(waived === undefined ? {} : { waived }),
          signal: new AbortController().signal,
          onProgress: () => undefined,
        },
      );
      whole = addTally(whole, part.tally);
      cursor = part.cursor;
    } while (cursor !== undefined);
    return whole;
  }

  /** How many of each group a census counted. */
  const groups = (tally: CensusTally): Record<string, number> =>
    Object.fromEntries(tally.rows.map((row): [string, number] => [row.key ?? '', row.count]));
  const everyChange: Record<string, number> = {};
  changed.forEach((_, i) => (everyChange[groupOf(i)] = (everyChange[groupOf(i)] ?? 0) + 1));

  test.each([0, 60_000])('counts each changed object once, with chunks of %s ms', async (timeMs) => {
    const tally = await census(timeMs, since);
    expect(groups(tally)).toEqual(everyChange);
    expect(tally).toMatchObject({ objects: changed.length, inTarget: 0 });
    expect(tally.revision).toBeGreaterThan(since);
  });

  test('counts nothing where nothing has changed since', async () => {
    const { revision } = await census(60_000);
    expect(await census(0, revision + 1)).toMatchObject({ objects: 0, rows: [], revision });
  });

  test('of everything is a census', async () => {
    const [all, delta] = [await census(0), await census(0, 1)];
    expect(delta).toEqual(all);
    expect(all).toMatchObject({ objects: 4_990, inTarget: 4_990 - changed.length });
  });

  test('finds what changed since a revision that is compacted away', async () => {
    await etcd.compact((await etcd.client.count('a', 'b')).revision);
    expect(await etcd.client.compactedPast(since)).toBe(true);
    expect(groups(await census(0, since))).toEqual(everyChange);
  });

  test('counts a waived value apart, and another one under the same key as any', async () => {
    const [key = ''] = keys(['s00001']);
    const { modRevision = 0 } = (await etcd.client.get(key)) ?? {};
    const waived = new Map([[key, modRevision]]);
    expect(await census(0, undefined, waived)).toMatchObject({ objects: 4_989, waived: 1 });
    await etcd.put([key], OLD);
    expect(await census(0, undefined, waived)).toMatchObject({ objects: 4_990, waived: 0 });
  });
});
