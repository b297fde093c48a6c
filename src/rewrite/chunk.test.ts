import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { everySecond } from './chunk.ts';

describe('a guard that is asked every second', () => {
  beforeEach(() => void jest.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void jest.useRealTimers());

  it('answers for whoever asks within it, and for those that ask at once', async () => {
    let asked = 0;
    const allowed = everySecond(() => {
      asked += 1;
      return Promise.resolve();
    });
    await Promise.all([allowed(), allowed(), allowed()]);
    jest.setSystemTime(1_000_999);
    await allowed();
    expect(asked).toBe(1);
    jest.setSystemTime(1_001_000);
    await allowed();
    expect(asked).toBe(2);
  });

  it('counts from the question: its answer may have lain about while the process was stopped', async () => {
    let asked = 0;
    const allowed = everySecond(() => {
      asked += 1;
      jest.setSystemTime(Date.now() + 60_000);
      return Promise.resolve();
    });
    await allowed();
    await allowed();
    expect(asked).toBe(2);
  });

  it('asks again after a no', async () => {
    const answers = [Promise.reject(new Error('fenced')), Promise.resolve()];
    const allowed = everySecond(() => answers.shift() ?? Promise.resolve());
    await expect(allowed()).rejects.toThrow('fenced');
    await allowed();
    expect(answers).toEqual([]);
  });
});
