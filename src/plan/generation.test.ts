import { describe, expect, test } from '@jest/globals';
import { baseKeyId, generationOf, keyIdOfGeneration } from './generation.ts';

describe('the generation of a key id', () => {
  test('counts the times that a key version was taken into use', () => {
    expect(['vault:kek/v1', 'vault:kek/v1;generation=10'].map(generationOf)).toEqual([1, 10]);
    expect(keyIdOfGeneration('vault:kek/v1;generation=9', 10)).toBe('vault:kek/v1;generation=10');
    expect(keyIdOfGeneration('vault:kek/v1;generation=9', 1)).toBe('vault:kek/v1');
  });

  test('is no part of what names the version', () => {
    expect(baseKeyId('vault:kek/v1;generation=10')).toBe('vault:kek/v1');
    expect(baseKeyId('a;generation=2/b')).toBe('a;generation=2/b');
  });
});
