import { describe, expect, it } from '@jest/globals';
import { clipped, MAX_WORDS, withoutKeys, withRemedy } from './words.ts';

describe('the words of a trouble', () => {
  it('are the same for every object and however long it took', () => {
    const words = (key: string, time: string): string =>
      withoutKeys(
        `${key} could not be read: cp-1 (https://10.0.0.1:6443) gave up after ${time}`,
        '/registry/secrets/',
      );
    expect(words('/registry/secrets/a/b', '30.001s')).toBe(words('/registry/secrets/c/d', '29 ms'));
    expect(words('/registry/secrets/a/b', '5s')).toContain('https://10.0.0.1:6443');
  });
  it('have an end', () => {
    expect(clipped('short')).toBe('short');
    expect(clipped('x'.repeat(5_000))).toHaveLength(MAX_WORDS);
  });
  it('give way to what is to be done', () => {
    const words = withRemedy('x'.repeat(5_000), 'put it back');
    expect(words).toHaveLength(MAX_WORDS);
    expect(words).toMatch(/x… — put it back$/);
    expect(withRemedy('gone', 'y'.repeat(5_000))).toMatch(/^gone — y+…$/);
    expect(withRemedy('x'.repeat(5_000), 'y'.repeat(5_000)).length).toBeLessThanOrEqual(MAX_WORDS);
  });
});
