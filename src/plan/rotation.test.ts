import { describe, expect, test } from '@jest/globals';
import { commonKeyId } from './rotation.ts';

describe('the key id by which every plugin can announce a version', () => {
  test('is what they all announce it by', () => {
    expect(commonKeyId(['v2', 'v2'])).toBe('v2');
  });
  test('is the highest generation, where one of them has used the lower ones', () => {
    expect(commonKeyId(['v2;generation=9', 'v2;generation=10', 'v2'])).toBe('v2;generation=10');
  });
  test('is none where no plugin knows the version', () => {
    expect(commonKeyId([])).toBeUndefined();
  });
});
