import { describe, expect, test } from '@jest/globals';
import { commonKeyId, mustBeSteady, steadiness } from './rotation.ts';

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

describe('the key id that canaries show', () => {
  const forMs = 60_000;

  test('has to stay for as long as the spec says', () => {
    const begun = steadiness(undefined, 'v2', { forMs, now: 1_000 });
    expect(begun).toEqual({ since: { keyId: 'v2', at: 1_000 }, leftMs: 60_000 });
    expect(steadiness(begun.since, 'v2', { forMs, now: 31_000 })).toEqual({
      since: begun.since,
      leftMs: 30_000,
    });
    expect(steadiness(begun.since, 'v2', { forMs, now: 61_000 }).leftMs).toBe(0);
    expect(steadiness(begun.since, 'v2', { forMs, now: 90_000 }).leftMs).toBe(0);
  });

  test('begins anew when it changes, and also when it is back', () => {
    const other = steadiness({ keyId: 'v2', at: 1_000 }, 'v1', { forMs, now: 50_000 });
    expect(other).toEqual({ since: { keyId: 'v1', at: 50_000 }, leftMs: 60_000 });
    expect(steadiness(other.since, 'v2', { forMs, now: 55_000 }).leftMs).toBe(60_000);
  });

  test.each([
    ['target', 'target-writes', false, true],
    ['target', 'target-writes', true, false],
    ['target', 'target-reads', false, false],
    ['source', 'target-reads', false, true],
    ['source', 'target-writes', false, false],
  ] as const)(
    'towards the %s, in %s, with rewriting begun: %s; has to be steady: %s',
    (goal, arrangement, begun, must) => {
      expect(
        mustBeSteady({ goal, rewrite: { pass: 1, begun, finished: false, refused: 0 } }, arrangement),
      ).toBe(must);
    },
  );
});
