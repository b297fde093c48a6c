import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { asActivity } from '../../activities/activity-context.test-helper.ts';
import { scanActivities } from '../../activities/scan.ts';
import { type Clusters } from '../../src/cluster/cluster.ts';
import { endOfPrefix, type EtcdClient, type EtcdPage, type RangeQuery } from '../../src/cluster/etcd.ts';
import { type Resource } from '../../src/cluster/resources.ts';
import { EnvelopeChain } from '../../src/envelope/chain.ts';
import { localProvider } from '../../src/envelope/providers.ts';
import { type PlanShardsInput, type PlannedShard } from '../../workflows/types.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';
import { FENCE_KEY, FENCE_VALUE, resourceNamed, rewriteChunk } from '../support/etcd-engine.ts';

jest.setTimeout(180_000);

const VALUE = Buffer.from('a value');
const numbered = (many: number, name: (i: string) => string): string[] =>
  Array.from({ length: many }, (_, i) => name(String(i).padStart(5, '0')));

/** Where objects lie that are spread unevenly: keys behind the prefix of their resource. */
const SPREADS = [
  {
    what: 'one namespace with nine tenths of the objects, between small ones',
    shards: 8,
    keys: [
      ...numbered(100, (i) => `a-${i.slice(-1)}/s${i}`),
      ...numbered(1_800, (i) => `big/s${i}`),
      ...numbered(100, (i) => `z-${i.slice(-1)}/s${i}`),
    ],
  },
  { what: 'all objects in one namespace', shards: 2, keys: numbered(12_000, (i) => `default/s${i}`) },
  {
    what: 'names as long as they may be, that differ only at their end',
    shards: 6,
    keys: numbered(1_200, (i) => `${'n'.repeat(63)}/${'s'.repeat(248)}${i}`),
  },
  { what: 'a namespace for each object', shards: 4, keys: numbered(600, (i) => `n${i}/only`) },
  { what: 'fewer objects than shards', shards: 9, keys: numbered(4, (i) => `default/s${i}`) },
];

describe('shards', () => {
  const cleanUp = new CleanUp();
  let etcd: EtcdAlone;

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(), (up) => up.down());
    await etcd.put([FENCE_KEY], FENCE_VALUE);
  });

  afterAll(() => cleanUp.run());

  async function plan(
    resource: Resource,
    shards: number,
    options: Parameters<typeof asActivity>[1] & { client?: Pick<EtcdClient, 'range'> } = {},
  ): Promise<PlannedShard[]> {
    const { client = etcd.client, ...context } = options;
    const seen = {
      count: (start: string, end: string) => etcd.client.count(start, end),
      range: (query: RangeQuery) => client.range(query),
      // As if values were large: keys are listed by a few hundred.
      status: () => Promise.resolve({ dbSize: 2 ** 40 }),
    };
    const clusters = { get: () => ({ etcd: seen }) } as unknown as Clusters;
    const input: PlanShardsInput = { cluster: {} as PlanShardsInput['cluster'], resource, shards };
    return await asActivity(() => scanActivities({ clusters }).planShards(input), context);
  }

  /** That every key of the resource, whenever it is written, lies in one shard and no other. */
  function expectWhole({ etcdPrefix }: Resource, shards: readonly PlannedShard[]): void {
    expect(shards[0]?.start).toBe(etcdPrefix);
    expect(shards.at(-1)?.end).toBe(endOfPrefix(etcdPrefix));
    expect(shards.slice(1).map(({ start }) => start)).toEqual(shards.slice(0, -1).map(({ end }) => end));
    for (const { start, end } of shards) expect(start < end).toBe(true);
  }

  /** Does something after each page of keys that is listed for the plan. */
  function whenListed(deed: (listed: EtcdPage) => Promise<unknown>): Pick<EtcdClient, 'range'> {
    return {
      range: async (query) => {
        const page = await etcd.client.range(query);
        await deed(page);
        return page;
      },
    };
  }

  describe.each(SPREADS)('of $what', ({ what, shards: wanted, keys }) => {
    const resource = resourceNamed(what.replaceAll(/\W/g, ''));
    let shards: PlannedShard[];

    beforeAll(async () => {
      await etcd.put(
        keys.map((key) => resource.etcdPrefix + key),
        VALUE,
      );
      shards = await plan(resource, wanted);
    });

    test('are the whole of them', () => {
      expectWhole(resource, shards);
      expect(shards.reduce((sum, { objects }) => sum + objects, 0)).toBe(keys.length);
    });

    test('are as many as were asked for, each as large as the others', async () => {
      const share = keys.length / Math.min(wanted, keys.length);
      expect(shards).toHaveLength(Math.min(wanted, keys.length));
      for (const { start, end, objects } of shards) {
        const { count } = await etcd.client.count(start, end);
        expect(Math.abs(count - share)).toBeLessThanOrEqual(0.2 * share);
        expect(Math.abs(count - objects)).toBeLessThanOrEqual(0.2 * share);
      }
    });
  });

  test('of a resource without objects are one, for some may appear', async () => {
    const resource = resourceNamed('empty');
    const shards = await plan(resource, 1);
    expectWhole(resource, shards);
    expect(shards).toHaveLength(1);
  });

  test('are whole, whatever appears and goes while they are planned', async () => {
    const resource = resourceNamed('restless');
    const keys = numbered(1_700, (i) => resource.key(`s${i}`));
    await etcd.put(keys, VALUE);
    const client = whenListed(async ({ entries }) => {
      const last = entries.at(-1)?.key ?? resource.key('s');
      await etcd.remove([last]);
      await etcd.put([`${last}-after`, `${entries[0]?.key ?? last}-between`], VALUE);
    });
    expectWhole(resource, await plan(resource, 7, { client }));
  });

  test('are planned further, not anew, by who goes on after a worker has died', async () => {
    const resource = resourceNamed('resumed');
    await etcd.put(
      numbered(2_400, (i) => resource.key(`s${i}`)),
      VALUE,
    );
    const unbroken = await plan(resource, 6);
    const told: unknown[] = [];
    let pages = 0;
    const broken = whenListed(() => {
      pages += 1;
      return pages === 4 ? Promise.reject(new Error('died')) : Promise.resolve();
    });
    const onHeartbeat = (details: unknown) => told.push(JSON.parse(JSON.stringify(details)));
    await expect(plan(resource, 6, { client: broken, onHeartbeat })).rejects.toThrow('died');
    const heartbeatDetails = told.at(-1) as { shards: PlannedShard[] };
    const asked: string[] = [];
    const client = {
      range: async (query: RangeQuery) => {
        asked.push(query.start);
        return await etcd.client.range(query);
      },
    };
    const resumed = await plan(resource, 6, { heartbeatDetails, client });
    const done = heartbeatDetails.shards.at(-1)?.end ?? '';
    expect(resumed).toEqual(unbroken);
    expect(done > resource.etcdPrefix).toBe(true);
    expect(asked.filter((start) => start < done)).toEqual([]);
  });

  test('have all that appears ahead of where they are walked; what appears behind is in the next plan', async () => {
    const resource = resourceNamed('walked');
    const source = localProvider('aesgcm', 'old', Buffer.alloc(32, 1));
    const chain = new EnvelopeChain([localProvider('aesgcm', 'new', Buffer.alloc(32, 2)), source]);
    const write = async (key: string) =>
      await etcd.put([key], Buffer.from(await source.seal(Buffer.from('k8s\0 it'), Buffer.from(key))));
    for (const key of numbered(120, (i) => resource.key(`s${i}`))) await write(key);
    const stale = async (): Promise<string[]> => {
      const { etcdPrefix } = resource;
      const range = { start: etcdPrefix, end: endOfPrefix(etcdPrefix), limit: 1_000 };
      const { entries } = await etcd.client.range(range);
      const looked = entries.map(async ({ key, value }) =>
        (await chain.open(value, Buffer.from(key))).stale ? [key] : [],
      );
      return (await Promise.all(looked)).flat();
    };
    /** Walks every shard in chunks, and does something before each. */
    const walk = async (before: (cursor: string) => Promise<void>): Promise<number> => {
      let rewritten = 0;
      for (const { start, end } of await plan(resource, 3)) {
        for (let cursor: string | undefined = start; cursor !== undefined;) {
          await before(cursor);
          const limits = { objects: 10 };
          const chunk = await rewriteChunk(etcd.client, chain, resource, { start: cursor, end, limits });
          rewritten += chunk.counts.rewritten;
          ({ cursor } = chunk);
        }
      }
      return rewritten;
    };

    const behind: string[] = [];
    await walk(async (cursor) => {
      if (!cursor.includes('/s')) return;
      await write(`${cursor.replace('\0', '')}-ahead`);
      const passed = resource.key(`a${behind.length}`);
      await write(passed);
      behind.push(passed);
    });
    expect(behind.length).toBeGreaterThan(5);
    expect(await stale()).toEqual([...behind].sort());
    expect(await walk(() => Promise.resolve())).toBe(behind.length);
    expect(await stale()).toEqual([]);
  });
});
