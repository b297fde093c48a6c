import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chunkObjects, MAX_SHARDS, nextChunkObjects, reportEvery, shardsFor } from './shards.ts';

describe('shards', () => {
  it('a resource without objects needs none', () => expect(shardsFor(0, 10, 'APIServer', 4)).toBe(0));
  it('a small cluster is not cut into crumbs', () => expect(shardsFor(400, 400, 'APIServer', 4)).toBe(1));
  it('resources share them by their objects', () => {
    expect(shardsFor(18_000, 20_000, 'APIServer', 4)).toBe(18);
    expect(shardsFor(2_000, 20_000, 'APIServer', 4)).toBe(2);
  });
  it('of a faster engine are fewer', () => expect(shardsFor(100_000, 100_000, 'Etcd', 4)).toBe(20));
  it('are walked by as many as they are begun, to the end', () => {
    expect(shardsFor(10_000, 10_000, 'APIServer', 8)).toBe(8);
    expect(shardsFor(23_500, 23_500, 'APIServer', 8)).toBe(24);
    expect(shardsFor(5_500, 5_500, 'APIServer', 8)).toBe(6);
  });
  it('of all resources together are bounded: one more for each resource at most', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 1e7 }), { minLength: 1, maxLength: 100 }),
        fc.integer({ min: 1, max: 64 }),
        (counts, atOnce) => {
          const all = counts.reduce((sum, one) => sum + one, 0);
          const shards = counts.reduce((sum, one) => sum + shardsFor(one, all, 'APIServer', atOnce), 0);
          expect(shards).toBeLessThanOrEqual(MAX_SHARDS + counts.length);
        },
      ),
    );
  });
  it('millions of objects still make a bounded number', () =>
    expect(shardsFor(5e6, 5e6, 'Etcd', 8)).toBe(MAX_SHARDS));
});

describe('reports', () => {
  it('of all shards together are bounded, however many objects there are', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: MAX_SHARDS }),
        fc.integer({ min: 1, max: 1e7 }),
        (shards, objects) => {
          const reports = shards * Math.floor(objects / reportEvery(shards, objects));
          expect(reports).toBeLessThanOrEqual(Math.max(150, shards));
        },
      ),
    );
  });
});

describe('a chunk', () => {
  it('begins with what can be watched', () => {
    expect(chunkObjects(1, 300)).toBe(50);
    expect(chunkObjects(1, 1e7)).toBe(5_000);
  });
  it('grows where objects are rewritten fast, until it takes two seconds', () => {
    expect(nextChunkObjects(50, { objects: 50, tookMs: 250 }, 1_000)).toBe(400);
    expect(nextChunkObjects(50, { objects: 400, tookMs: 2_000 }, 1_000)).toBe(400);
    expect(nextChunkObjects(50, { objects: 400, tookMs: 4_000 }, 1_000)).toBe(200);
  });
  it('takes up to eight seconds where it is a small part of all objects', () => {
    expect(nextChunkObjects(50, { objects: 50, tookMs: 500 }, 10_000)).toBe(400);
    expect(nextChunkObjects(50, { objects: 50, tookMs: 500 }, 1e6)).toBe(800);
  });
  it('never holds fewer than the first, nor more than 20,000', () => {
    expect(nextChunkObjects(50, { objects: 50, tookMs: 10_000 }, 1_000)).toBe(50);
    expect(nextChunkObjects(50, { objects: 0, tookMs: 10_000 }, 1e6)).toBe(50);
    expect(nextChunkObjects(50, { objects: 5_000, tookMs: 0 }, 1e6)).toBe(20_000);
  });
});
