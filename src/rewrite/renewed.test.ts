import { describe, expect, it } from '@jest/globals';
import { Renewed } from './renewed.ts';

describe('an answer that is renewed', () => {
  it('is waited for the first time, and asked for once by all who wait', async () => {
    let asked = 0;
    const renewed = new Renewed(() => Promise.resolve(++asked));
    const answers = await Promise.all([renewed.value(60_000), renewed.value(60_000)]);
    expect(answers.map((answer) => answer?.value)).toEqual([1, 1]);
    expect((await renewed.value(60_000))?.value).toBe(1);
  });

  it('is given as it was while a newer one is on its way, and stays where none comes', async () => {
    const pending: (() => void)[] = [];
    let asked = 0;
    const renewed = new Renewed(async () => {
      asked += 1;
      if (asked === 1) return 'old';
      await new Promise<void>((_, reject) => pending.push(() => reject(new Error('silent'))));
      return 'new';
    });
    expect((await renewed.value(0))?.value).toBe('old');
    expect((await renewed.value(0))?.value).toBe('old');
    expect((await renewed.value(0))?.value).toBe('old');
    expect(asked).toBe(2);
    pending[0]?.();
    await new Promise(setImmediate);
    expect((await renewed.value(0))?.value).toBe('old');
    expect(asked).toBe(3);
  });

  it('is undefined where there never was one', async () => {
    const silent = new Renewed(() => Promise.reject(new Error('silent')));
    expect(await silent.value(0)).toBeUndefined();
  });
});
