import { describe, expect, it } from '@jest/globals';
import type { ApiResponse } from '../cluster/api-server.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Resource } from '../cluster/resources.ts';
import { ApiServerEngine } from './apiserver.ts';
import { chunkOptions } from './chunk-options.test-helper.ts';

const NOTES = {
  name: 'notes.example.com',
  namespaced: true,
  etcdPrefix: '/registry/example.com/notes/',
  apiPath: '/apis/example.com/v2',
  apiVersion: 'example.com/v2',
  plural: 'notes',
} as Resource;

/** Tries some objects by an API server that answers a GET with what an object says, and a dry run with something else. */
function tried(keys: readonly string[], said: (name: string) => { before: object; after: object }) {
  const written: string[] = [];
  const request = ({ method, path }: { method: string; path: string }): Promise<ApiResponse> => {
    const name = /notes\/([^?]+)/.exec(path)?.[1] ?? '';
    const dry = path.includes('dryRun=All');
    if (method !== 'GET' && !dry) written.push(name);
    const metadata = { name, resourceVersion: '7' };
    const { before, after } = said(name);
    return Promise.resolve({ status: 200, text: '', body: { metadata, ...(dry ? after : before) } });
  };
  const entries = keys.map((key) => ({ key, value: Buffer.alloc(0), modRevision: 7 }));
  const etcd = {
    range: ({ start, limit }: { start: string; limit: number }) => {
      const rest = entries.filter(({ key }) => key >= start);
      return Promise.resolve({ entries: rest.slice(0, limit), more: rest.length > limit, revision: 8 });
    },
    count: () => Promise.resolve({ count: keys.length, revision: 9 }),
  };
  const cluster = { apiServers: [{ name: 'cp-1', request }], etcd } as unknown as Cluster;
  const engine = new ApiServerEngine(cluster, { apiVersions: ['example.com/v1'], every: 1, only: true });
  const chunk = async (start: string) =>
    await engine.rewriteChunk(
      NOTES,
      { start, end: '/registry/example.com/notes0' },
      { timeMs: 10_000, objects: 4, concurrency: 3, objectsPerSecond: 0 },
      chunkOptions(),
    );
  return { chunk, written };
}

const keyOf = (i: number): string => `${NOTES.etcdPrefix}default/n-${i}`;

describe('a trial of conversions', () => {
  it('names the objects that would lose a field, goes on from chunk to chunk, and writes nothing', async () => {
    const keys = Array.from({ length: 7 }, (_, i) => keyOf(i));
    const { chunk, written } = tried(keys, (name) => ({
      before: { text: 'a' },
      after: name === 'n-5' ? {} : { text: 'a' },
    }));
    const first = await chunk(NOTES.etcdPrefix);
    expect(first).toMatchObject({ counts: { examined: 4, current: 4, refused: 0 }, refusals: [] });
    const second = await chunk(first.cursor ?? '');
    expect(second.counts).toMatchObject({ examined: 3, current: 2, refused: 1 });
    expect(second.cursor).toBeUndefined();
    expect(second.refusals).toEqual([
      expect.objectContaining({
        name: 'n-5',
        namespace: 'default',
        reason: expect.stringContaining('loses or changes text'),
      }),
    ]);
    expect(written).toEqual([]);
  });

  it('refuses a key that no API server looks for', async () => {
    const { chunk } = tried([`${NOTES.etcdPrefix}stray`], () => ({ before: {}, after: {} }));
    expect((await chunk(NOTES.etcdPrefix)).counts.refused).toBe(1);
  });
});
