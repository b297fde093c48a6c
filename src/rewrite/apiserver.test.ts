import { describe, expect, it } from '@jest/globals';
import type { ApiResponse } from '../cluster/api-server.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { KeyferryError } from '../errors.ts';
import { ApiServerEngine } from './apiserver.ts';
import { chunkOptions } from './chunk-options.test-helper.ts';
import { SECRETS } from '../cluster/resources.test-helper.ts';

const OPENED: ApiResponse = { status: 200, text: '', body: { metadata: { resourceVersion: '9' } } };
const UNOPENED: ApiResponse = {
  status: 500,
  text: '',
  body: { reason: 'InternalError', message: 'Internal error occurred: no matching prefix found' },
};

/** Rewrites one object; each server always gives the same answer. */
async function rewritten(...answers: ApiResponse[]) {
  const asked: number[] = [];
  const wrote: number[] = [];
  const apiServers = answers.map((answer, i) => ({
    name: `cp-${i + 1}`,
    request: () => {
      asked.push(i + 1);
      return Promise.resolve(answer);
    },
  }));
  const entry = { key: '/registry/secrets/a/b', value: Buffer.alloc(0), modRevision: 7 };
  const etcd = {
    range: () => Promise.resolve({ entries: [entry], more: false, revision: 8 }),
    count: () => Promise.resolve({ count: 1, revision: 9 }),
  };
  const engine = new ApiServerEngine({ apiServers, etcd } as unknown as Cluster);
  const result = await engine.rewriteChunk(
    SECRETS,
    { start: '/registry/secrets/', end: '/registry/secrets0' },
    { timeMs: 10_000, objects: 10, concurrency: 1, objectsPerSecond: 0 },
    chunkOptions({ wrote: (revision) => wrote.push(revision) }),
  );
  return { asked: asked.sort(), wrote, counts: result.counts, refusals: result.refusals };
}

describe('an object that was written anew', () => {
  it('is told with the revision that etcd gave it, and one that lay there as it should is not', async () => {
    expect((await rewritten(OPENED)).wrote).toEqual([9]);
    const same: ApiResponse = { ...OPENED, body: { metadata: { resourceVersion: '7' } } };
    expect(await rewritten(same)).toMatchObject({ wrote: [], counts: { current: 1 } });
  });
});

describe('an object that an API server does not open', () => {
  it('is rewritten through one that does', async () => {
    expect((await rewritten(UNOPENED, OPENED)).counts).toMatchObject({ rewritten: 1, refused: 0 });
    expect((await rewritten(OPENED, UNOPENED)).counts).toMatchObject({ rewritten: 1, refused: 0 });
  });

  it('is refused once each of them was asked, however many they are', async () => {
    const { asked, counts, refusals } = await rewritten(...Array.from({ length: 8 }, () => UNOPENED));
    expect(asked).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(counts).toMatchObject({ rewritten: 0, refused: 1 });
    expect(refusals[0]?.reason).toContain('no provider of the configuration opens it');
  });
});

describe('a chunk that may not go on', () => {
  const KEYS = Array.from({ length: 9 }, (_, i) => `${SECRETS.etcdPrefix}a/s${i}`);

  /** Rewrites nine objects by three lanes. */
  async function chunk(own: Parameters<typeof chunkOptions>[0]) {
    const asked: string[] = [];
    const request = ({ path }: { path: string }) => {
      asked.push(path);
      return Promise.resolve(OPENED);
    };
    const entries = KEYS.map((key) => ({ key, value: Buffer.alloc(0), modRevision: 7 }));
    const etcd = {
      range: () => Promise.resolve({ entries, more: false, revision: 8 }),
      count: () => Promise.resolve({ count: KEYS.length, revision: 9 }),
    };
    const cluster = { apiServers: [{ name: 'cp-1', request }], etcd } as unknown as Cluster;
    const range = { start: SECRETS.etcdPrefix, end: '/registry/secrets0' };
    const limits = { timeMs: 10_000, objects: 100, concurrency: 3, objectsPerSecond: 0 };
    const rewriting = new ApiServerEngine(cluster).rewriteChunk(SECRETS, range, limits, chunkOptions(own));
    return { asked, ended: await Promise.allSettled([rewriting]) };
  }

  it('answers with where it got, and why', async () => {
    let batches = 0;
    const next = () => Promise.resolve((batches += 1) > 2 ? 'etcd is full' : undefined);
    const { asked, ended } = await chunk({ pace: { batch: (most) => most, next } });
    expect(asked).toHaveLength(6);
    expect(ended).toMatchObject([
      { value: { cursor: `${KEYS[5] ?? ''}\0`, counts: { rewritten: 6 }, stalled: 'etcd is full' } },
    ]);
  });

  it('writes nothing once it is fenced', async () => {
    const fenced = new KeyferryError('Fenced', 'a newer epoch is in force', { remedy: 'none' });
    const { asked, ended } = await chunk({ guard: () => Promise.reject(fenced) });
    expect(asked).toEqual([]);
    expect(ended).toEqual([{ status: 'rejected', reason: fenced }]);
  });
});
