import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chunkObjects, MAX_SHARDS, reportEvery, shardsFor } from './shards.ts';

describe('shards', () => {
  it('a resource without objects needs none', () => expect(shardsFor(0, 10)).toBe(0));
  it('a small cluster is not cut into crumbs', () => expect(shardsFor(400, 400)).toBe(1));
  it('resources share them by their objects', () => {
    expect(shardsFor(9_000, 10_000)).toBe(18);
    expect(shardsFor(1_000, 10_000)).toBe(2);
  });
  it('of all resources together are bounded: one more for each resource at most', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1e7 }), { minLength: 1, maxLength: 100 }), (counts) => {
        const all = counts.reduce((sum, one) => sum + one, 0);
        const shards = counts.reduce((sum, one) => sum + shardsFor(one, all), 0);
        expect(shards).toBeLessThanOrEqual(MAX_SHARDS + counts.length);
      }),
    );
  });
  it('millions of objects still make a bounded number', () => expect(shardsFor(5e6, 5e6)).toBe(MAX_SHARDS));
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
  it('a chunk never holds more than 5,000 objects', () => expect(chunkObjects(1, 1e7)).toBe(5_000));
});
