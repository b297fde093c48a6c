import { describe, expect, it } from '@jest/globals';
import { arrived, countsSince, nextSampleIn } from './format-sample.ts';

describe('progress by samples', () => {
  it('counts what is under the target on the way there, and what is not on the way back', () => {
    const sample = { objects: 100, inTarget: 70, exact: true, revision: 9, tookMs: 1 };
    expect([arrived(sample, 'target'), arrived(sample, 'source')]).toEqual([70, 30]);
  });
  it('takes for rewritten what was not there before, and never less than nothing', () => {
    expect(countsSince(20, 70)).toMatchObject({ examined: 70, rewritten: 50, current: 20, refused: 0 });
    expect(countsSince(20, 10)).toMatchObject({ examined: 10, rewritten: 0, current: 10 });
  });
  it('comes more seldom while nothing moves, and where it takes long', () => {
    expect(nextSampleIn(5_000, true, 10)).toBe(5_000);
    expect(nextSampleIn(5_000, false, 10)).toBe(10_000);
    expect(nextSampleIn(60_000, false, 10)).toBe(60_000);
    expect(nextSampleIn(60_000, true, 2_000)).toBe(40_000);
  });
});
