import { describe, expect, it } from '@jest/globals';
import { batchesOf, type Replacement } from './batch.ts';

const MIB = 1024 * 1024;
const replacements = (count: number, bytes: number): Replacement[] =>
  Array.from({ length: count }, (_, i) => ({
    read: { key: `/registry/secrets/default/s${i}`, modRevision: 1 },
    value: Buffer.alloc(bytes),
  }));
const sizes = (all: Replacement[]): number[] => batchesOf(all).map((batch) => batch.length);

describe('transactions', () => {
  it('have 127 puts at most: with the fence, that is what etcd compares at once', () =>
    expect(sizes(replacements(300, 10))).toEqual([127, 127, 46]));

  it('have 1 MiB at most, keys included', () => {
    expect(sizes(replacements(10, MIB / 4))).toEqual([3, 3, 3, 1]);
    const long: Replacement = {
      read: { key: 'k'.repeat(MIB / 6), modRevision: 1 },
      value: Buffer.alloc(MIB / 4),
    };
    expect(sizes([long, long])).toEqual([1, 1]);
  });

  it('have a larger value alone', () => {
    const [large] = replacements(1, 1.4 * MIB);
    const small = replacements(3, 10);
    expect(sizes([...small, large as Replacement, ...small])).toEqual([3, 1, 3]);
  });

  it('are none for nothing', () => expect(sizes([])).toEqual([]));
});
