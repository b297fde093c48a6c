import { describe, expect, it } from '@jest/globals';
import { nextSteps, rateOf, withSample } from './progress.ts';
import { initial } from './state.ts';

describe('the rate', () => {
  it('is none before there are two samples', () => {
    expect(rateOf([])).toBe(0);
    expect(rateOf([{ at: 0, done: 5 }])).toBe(0);
  });
  it('is that of the last minute', () => {
    const samples = [
      { at: 0, done: 0 },
      { at: 100_000, done: 100 },
      { at: 110_000, done: 1_100 },
    ];
    expect(rateOf(samples)).toBe(100);
  });
  it('starts anew where the count fell: another pass began', () => {
    expect(withSample([{ at: 0, done: 500 }], { at: 1_000, done: 10 })).toEqual([{ at: 1_000, done: 10 }]);
  });
  it('keeps a bounded number of samples', () => {
    const samples = Array.from({ length: 1_000 }, (_, i) => ({ at: i, done: i })).reduce(withSample, []);
    expect(samples).toHaveLength(200);
  });
});

describe('next steps', () => {
  const seen = initial(['a'], 'Reload');
  it('of what runs: pause, or roll back', () =>
    expect(nextSteps(seen).map((step) => step.split(' ')[1])).toEqual(['pause', 'rollback']));
  it('of what is paused: resume first', () =>
    expect(nextSteps({ ...seen, held: 'paused' })[0]).toBe('keyferry resume'));
  it('of what is over: its report', () =>
    expect(nextSteps({ ...seen, preflight: 'failed' })).toEqual(['keyferry report']));
});
