import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { endOfPrefix, type EtcdEntry } from '../../src/cluster/etcd.ts';
import type { Resource } from '../../src/cluster/resources.ts';
import { EnvelopeChain } from '../../src/envelope/chain.ts';
import { localProvider } from '../../src/envelope/providers.ts';
import { KeyferryError } from '../../src/errors.ts';
import { type ChunkLimits, type ChunkOptions, type ChunkResult } from '../../src/rewrite/engine.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';
import {
  FENCE,
  FENCE_KEY,
  FENCE_VALUE,
  resourceNamed,
  rewriteChunk,
  type Txn,
} from '../support/etcd-engine.ts';

jest.setTimeout(180_000);

const OBJECT = Buffer.from('k8s\0 an object');
const NEW = Buffer.from('k8s\0 what another client wrote');
const MIB = 1024 * 1024;

const source = localProvider('aesgcm', 'old', Buffer.alloc(32, 1));
const target = localProvider('aesgcm', 'new', Buffer.alloc(32, 2));
const chain = new EnvelopeChain([target, source]);

describe('the engine Etcd', () => {
  const cleanUp = new CleanUp();
  let etcd: EtcdAlone;

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(), (up) => up.down());
    await etcd.put([FENCE_KEY], FENCE_VALUE);
  });

  afterAll(() => cleanUp.run());

  async function seal(by: typeof source, keys: readonly string[], object = OBJECT): Promise<void> {
    for (const key of keys) await etcd.put([key], Buffer.from(await by.seal(object, Buffer.from(key))));
  }

  async function stored(resource: Resource): Promise<EtcdEntry[]> {
    const end = endOfPrefix(resource.etcdPrefix);
    return (await etcd.client.range({ start: resource.etcdPrefix, end, limit: 1_000 })).entries;
  }

  async function rewritten(
    resource: Resource,
    txn?: Txn,
    options?: Partial<ChunkOptions>,
    limits?: Partial<ChunkLimits>,
  ): Promise<ChunkResult> {
    return await rewriteChunk(etcd.client, chain, resource, {
      ...(txn === undefined ? {} : { txn }),
      ...(options === undefined ? {} : { options }),
      ...(limits === undefined ? {} : { limits }),
    });
  }

  /** Does something once, before the first transaction is sent. */
  function first(deed: () => Promise<unknown>): Txn {
    let done: Promise<unknown> | undefined;
    return async (request, send) => {
      await (done ??= deed());
      return await send(request);
    };
  }

  test('brings values of the source to the target, and leaves those of the target as they are', async () => {
    const resource = resourceNamed('plain');
    const keys = Array.from({ length: 400 }, (_, i) => resource.key(`s${i}`));
    await seal(source, keys.slice(0, 300));
    await seal(target, keys.slice(300));
    const before = new Map((await stored(resource)).map(({ key, modRevision }) => [key, modRevision]));
    const progress: number[] = [];
    const wrote = new Set<number>();
    const result = await rewritten(resource, undefined, {
      onProgress: (_, { examined }) => progress.push(examined),
      wrote: (revision) => wrote.add(revision),
    });
    expect(result).toMatchObject({
      cursor: undefined,
      counts: { examined: 400, rewritten: 300, current: 100, gone: 0, refused: 0 },
      refusals: [],
    });
    expect(progress.at(-1)).toBe(400);
    for (const { key, value, modRevision } of await stored(resource)) {
      expect(await chain.open(value, Buffer.from(key))).toEqual({ plaintext: OBJECT, stale: false });
      expect(modRevision === before.get(key)).toBe(keys.indexOf(key) >= 300);
      expect(modRevision).toBeLessThanOrEqual(result.revision);
      expect(wrote.has(modRevision)).toBe(keys.indexOf(key) < 300);
    }
    expect((await rewritten(resource)).counts).toMatchObject({ rewritten: 0, current: 400 });
  });

  test('ends after so many objects, and goes on from its cursor', async () => {
    const resource = resourceNamed('parts');
    await seal(source, ['a', 'b', 'c'].map(resource.key));
    const { cursor, counts } = await rewritten(resource, undefined, {}, { objects: 2 });
    expect({ cursor, counts }).toMatchObject({ cursor: `${resource.key('b')}\0`, counts: { rewritten: 2 } });
  });

  test('lets a client win that writes between its reading and its transaction, and the rest of the batch lands', async () => {
    const resource = resourceNamed('raced');
    const keys = ['a', 'b', 'c', 'd'].map(resource.key);
    const [byTarget = '', bySource = ''] = keys;
    await seal(source, keys);
    const { counts } = await rewritten(
      resource,
      first(async () => {
        await seal(target, [byTarget], NEW);
        // As by an API server that had read the file before promote.
        await seal(source, [bySource], NEW);
      }),
    );
    expect(counts).toMatchObject({ examined: 4, rewritten: 4, refused: 0 });
    for (const { key, value } of await stored(resource)) {
      const { plaintext, stale } = await chain.open(value, Buffer.from(key));
      const written = key === byTarget || key === bySource;
      expect({ key, plaintext, stale }).toEqual({ key, plaintext: written ? NEW : OBJECT, stale: false });
    }
  });

  test('gives up for now where others are faster each time', async () => {
    const resource = resourceNamed('hammered');
    await seal(source, [resource.key('a')]);
    const result = await rewritten(resource, async (request, send) => {
      await seal(source, [resource.key('a')], NEW);
      return await send(request);
    });
    expect(result).toMatchObject({
      cursor: resource.etcdPrefix,
      counts: { examined: 0 },
      stalled: expect.stringContaining('other writers were faster'),
    });
  });

  test('counts what was deleted meanwhile as gone, and does not bring it back', async () => {
    const resource = resourceNamed('deleted');
    const keys = ['a', 'b'].map(resource.key);
    await seal(source, keys);
    const { counts } = await rewritten(
      resource,
      first(() => etcd.remove(keys.slice(0, 1))),
    );
    expect(counts).toMatchObject({ examined: 2, rewritten: 1, gone: 1 });
    expect((await stored(resource)).map(({ key }) => key)).toEqual(keys.slice(1));
  });

  test.each([
    ['a newer epoch', () => Buffer.from(`${FENCE.epoch + 1} ${FENCE.holder}`)],
    ['another holder', () => Buffer.from(`${FENCE.epoch} two-22222222`)],
  ])('writes nothing more once the fence has %s, though nobody touched the values', async (_, raised) => {
    const resource = resourceNamed(`fenced-${raised().toString('hex')}`);
    const keys = Array.from({ length: 300 }, (_, i) => resource.key(`s${i}`));
    await seal(source, keys);
    let sent = 0;
    try {
      await expect(
        rewritten(
          resource,
          async (request, send) => {
            sent += 1;
            if (sent === 2) await etcd.put([FENCE_KEY], raised());
            return await send(request);
          },
          {},
          { concurrency: 1 },
        ),
      ).rejects.toMatchObject({ code: 'Fenced', retryable: false });
    } finally {
      await etcd.put([FENCE_KEY], FENCE_VALUE);
    }
    let stale = 0;
    for (const { key, value } of await stored(resource)) {
      if ((await chain.open(value, Buffer.from(key))).stale) stale += 1;
    }
    // The first page was small; all that came after it stands as it was.
    expect(stale).toBe(300 - 32);
  });

  test.each([
    ['was done', true],
    ['was not done', false],
  ])('looks again at what it wrote without an answer: it %s', async (_, done) => {
    const resource = resourceNamed(`unanswered-${done}`);
    const keys = ['a', 'b'].map(resource.key);
    await seal(source, keys);
    const answers: boolean[] = [];
    const { counts } = await rewritten(resource, async (request, send) => {
      if (answers.length === 1) return await send(request);
      answers.push(done && (await send(request)).succeeded);
      throw new KeyferryError('UnreachableEtcd', 'etcd did not answer', { remedy: 'wait', retryable: true });
    });
    expect(answers).toEqual([done]);
    expect(counts).toMatchObject({ examined: 2, rewritten: 2 });
    for (const { key, value } of await stored(resource)) {
      expect((await chain.open(value, Buffer.from(key))).stale).toBe(false);
    }
  });

  test('keeps the lease of a value', async () => {
    const resource = resourceNamed('leased');
    const key = resource.key('a');
    const lease = await etcd.lease(600);
    await etcd.client.txn({
      success: [
        {
          request_put: {
            key: Buffer.from(key),
            value: Buffer.from(await source.seal(OBJECT, Buffer.from(key))),
            lease,
          },
        },
      ],
    });
    expect((await rewritten(resource)).counts).toMatchObject({ rewritten: 1 });
    expect(await etcd.leaseOf(key)).toBe(lease);
  });

  test('moves values of 1 MiB, and refuses by name what etcd would not take after it has grown', async () => {
    const resource = resourceNamed('large');
    const keys = ['a', 'b', 'c'].map(resource.key);
    await seal(source, keys, Buffer.concat([OBJECT, Buffer.alloc(MIB)]));
    // Fits as it lies; the target's name is longer.
    const longName = localProvider('aesgcm', 'n'.repeat(2_000), Buffer.alloc(32, 2));
    const full = Buffer.concat([OBJECT, Buffer.alloc(1.5 * MIB - 1_500)]);
    await seal(source, [resource.key('d')], full);
    const growing = new EnvelopeChain([longName, source]);
    const result = await rewriteChunk(etcd.client, growing, resource);
    expect(result.counts).toMatchObject({ examined: 4, rewritten: 3, refused: 1 });
    expect(result.refusals).toEqual([
      {
        resource: 'large',
        namespace: 'default',
        name: 'd',
        reason: expect.stringContaining('too large'),
        remedy: expect.stringContaining('--max-request-bytes'),
      },
    ]);
  });

  test('splits a batch that this etcd does not take', async () => {
    const resource = resourceNamed('split');
    await seal(
      source,
      Array.from({ length: 20 }, (_, i) => resource.key(`s${i}`)),
    );
    const sizes: number[] = [];
    const { counts } = await rewritten(resource, async (request, send) => {
      const puts = request.success?.length ?? 0;
      sizes.push(puts);
      if (puts > 6) throw new KeyferryError('TooLargeForEtcd', 'too large', { remedy: 'raise it' });
      return await send(request);
    });
    expect(counts).toMatchObject({ rewritten: 20, refused: 0 });
    expect(sizes).toEqual([20, 10, 5, 5, 10, 5, 5]);
  });

  test('names what it can’t open, leaves it and what is waived as they are, and rewrites keys of no object', async () => {
    const resource = resourceNamed('odd');
    const lost = Buffer.from('k8s:enc:aesgcm:v1:lost:0123456789012345678901234567890123456789');
    await etcd.put([resource.key('lost')], lost);
    await seal(source, [resource.key('waived'), `${resource.etcdPrefix}orphan`]);
    const before = await stored(resource);
    const waived = new Map(
      before.filter(({ key }) => key.endsWith('/waived')).map(({ key, modRevision }) => [key, modRevision]),
    );
    const { counts, refusals } = await rewritten(resource, undefined, { waived });
    expect(counts).toMatchObject({ examined: 2, rewritten: 1, refused: 1 });
    expect(refusals).toEqual([
      {
        resource: 'odd',
        namespace: 'default',
        name: 'lost',
        reason: 'no provider of the configuration opens it',
        remedy: expect.stringContaining('keyferry waive'),
      },
    ]);
    const after = await stored(resource);
    const changed = after.filter(({ modRevision }, i) => modRevision !== before[i]?.modRevision);
    expect(changed.map(({ key }) => key)).toEqual([`${resource.etcdPrefix}orphan`]);
  });

  test('stands still when it is asked to stop, and when the guard says no', async () => {
    const resource = resourceNamed('stopped');
    await seal(source, ['a', 'b'].map(resource.key));
    const none = { cursor: resource.etcdPrefix, counts: { examined: 0 } };
    expect(await rewritten(resource, undefined, { signal: AbortSignal.abort() })).toMatchObject(none);
    const refuse = new KeyferryError('ServersChanged', 'cp-1 was restarted', { remedy: 'look' });
    const guard = () => Promise.reject(refuse);
    await expect(rewritten(resource, undefined, { guard })).rejects.toBe(refuse);
    for (const { key, value } of await stored(resource)) {
      expect((await chain.open(value, Buffer.from(key))).stale).toBe(true);
    }
  });
});
