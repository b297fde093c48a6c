import { describe, expect, it } from '@jest/globals';
import type { Clusters } from '../src/cluster/cluster.ts';
import { MAX_REFUSALS, NOTHING } from '../src/plan/counts.ts';
import type { ChunkResult, Refusal } from '../src/rewrite/engine.ts';
import type { RewriteChunkInput } from '../workflows/types.ts';
import { asActivity } from './activity-context.test-helper.ts';
import { rewriteActivities } from './rewrite.ts';

const refusals = Array.from({ length: MAX_REFUSALS }, (_, i): Refusal => ({
  resource: 'secrets',
  namespace: 'default',
  name: `s${i}`,
  status: 422,
  reason: 'Invalid',
  remedy: 'correct it',
}));

/** Runs a chunk over a range that holds nothing, as the attempt after one that told this much. */
async function retried(heartbeatDetails: object): Promise<ChunkResult> {
  const clusters = {
    get: () => ({
      apiServers: [],
      etcd: {
        range: () => Promise.resolve({ entries: [], more: false, revision: 7 }),
        count: () => Promise.resolve({ count: 0, revision: 7 }),
      },
    }),
  } as unknown as Clusters;
  const input = {
    resource: { name: 'secrets', etcdPrefix: '/registry/secrets/', namespaced: true },
    range: { start: '/registry/secrets/', end: '/registry/secrets0' },
    limits: { timeMs: 1_000, objects: 100, concurrency: 1, objectsPerSecond: 0 },
  } as unknown as RewriteChunkInput;
  return await asActivity(() => rewriteActivities({ clusters }).rewriteChunk(input), { heartbeatDetails });
}

describe('a chunk that is tried again', () => {
  const counts = { ...NOTHING, examined: 60, rewritten: 8, refused: 52 };

  it('names what the attempt before it saw refuse, and counts what that did', async () => {
    const result = await retried({ cursor: '/registry/secrets/default/s60', counts, refusals });
    expect(result).toMatchObject({ counts, refusals, cursor: undefined });
  });
  it('of a version that told no names goes on all the same', async () => {
    const result = await retried({ cursor: '/registry/secrets/default/s60', counts });
    expect(result).toMatchObject({ counts, refusals: [] });
  });
});
