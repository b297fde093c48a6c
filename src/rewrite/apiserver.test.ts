import { describe, expect, it } from '@jest/globals';
import type { ApiResponse } from '../cluster/api-server.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Resource } from '../cluster/resources.ts';
import { ApiServerEngine } from './apiserver.ts';

const SECRETS = {
  name: 'secrets',
  namespaced: true,
  etcdPrefix: '/registry/secrets/',
  apiPath: '/api/v1',
  plural: 'secrets',
} as Resource;
const OPENED: ApiResponse = { status: 200, text: '', body: { metadata: { resourceVersion: '9' } } };
const UNOPENED: ApiResponse = {
  status: 500,
  text: '',
  body: { reason: 'InternalError', message: 'Internal error occurred: no matching prefix found' },
};

/** Rewrites one object; each server always gives the same answer. */
async function rewritten(...answers: ApiResponse[]) {
  const asked: number[] = [];
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
    {
      signal: new AbortController().signal,
      guard: () => Promise.resolve(),
      pace: { batch: (most) => most, next: () => Promise.resolve(undefined) },
      met: () => undefined,
      onProgress: () => undefined,
      waived: new Map(),
    },
  );
  return { asked: asked.sort(), counts: result.counts, refusals: result.refusals };
}

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
