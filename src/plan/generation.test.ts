import { describe, expect, test } from '@jest/globals';
import { baseKeyId, nextGeneration } from './generation.ts';

describe('the generation of a key id', () => {
  test('counts the times that a key version came back', () => {
    expect(nextGeneration('vault:kek/v1')).toBe('vault:kek/v1;generation=2');
    expect(nextGeneration('vault:kek/v1;generation=9')).toBe('vault:kek/v1;generation=10');
  });

  test('is no part of what names the version', () => {
    expect(baseKeyId('vault:kek/v1;generation=10')).toBe('vault:kek/v1');
    expect(baseKeyId('a;generation=2/b')).toBe('a;generation=2/b');
  });
});
