import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { FREE, type Verdict } from '../plan/governor.ts';
import { Pace } from './pace.ts';

const PAUSED: Verdict = { level: 'pause', factor: 0.1, gauge: 'watchers', reason: 'watchers fall behind' };
const SLOW: Verdict = { level: 'slow', factor: 0.5, gauge: 'queues', reason: 'queues are long' };

/** A pace whose verdicts come one after another; the last one stays. */
function pace(objectsPerSecond: number, ...verdicts: Verdict[]): Pace {
  let asked = 0;
  const verdict = (): Promise<Verdict> =>
    Promise.resolve(verdicts[Math.min(asked++, verdicts.length - 1)] ?? FREE);
  return new Pace({ objectsPerSecond, verdict, turn: () => 0, signal: new AbortController().signal });
}

describe('the pace of a chunk', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('lets a batch begin at once where nothing limits it', async () => {
    const free = pace(0, FREE);
    expect(await free.next(16)).toBeUndefined();
    expect(free.slowed).toBeUndefined();
  });

  it('tells what slowed it down', async () => {
    const slow = pace(0, SLOW);
    expect(await slow.next(16)).toBeUndefined();
    expect(slow.slowed).toEqual({ gauge: 'queues', reason: 'queues are long' });
  });

  it('lets nothing begin while the governor pauses, and says why', async () => {
    const begun = Date.now();
    // A clock on which four seconds pass whenever it is asked.
    let asked = 0;
    jest.spyOn(Date, 'now').mockImplementation(() => begun + 4_000 * asked++);
    const paused = pace(0, { ...PAUSED, factor: 1 });
    expect(await paused.next(16)).toBe('watchers fall behind');
    expect(paused.slowed).toBeUndefined();
  });

  it('goes on by itself after a short pause', async () => {
    expect(await pace(0, FREE, PAUSED, PAUSED, FREE).next(16)).toBeUndefined();
  });

  it('asks again after a rest, for what was borne before it may not be any more, and ends a pause when it is cancelled', async () => {
    const stop = new AbortController();
    let asked = 0;
    const verdict = (): Promise<Verdict> => {
      asked += 1;
      if (asked === 3) stop.abort();
      return Promise.resolve(asked === 1 ? FREE : PAUSED);
    };
    const rests = new Pace({ objectsPerSecond: 1_000, verdict, turn: () => 0, signal: stop.signal });
    expect(await rests.next(20)).toBe('watchers fall behind');
    expect(asked).toBe(3);
  });

  it('makes the first batch wait too, so that chunk after chunk keeps to the rate', async () => {
    const stop = new AbortController();
    const perHour = new Pace({
      objectsPerSecond: 1 / 3_600,
      verdict: () => Promise.resolve(FREE),
      turn: () => 0,
      signal: stop.signal,
    });
    let begun = false;
    const next = perHour.next(1).then(() => (begun = true));
    expect(await pace(0, FREE).next(1)).toBeUndefined();
    expect(begun).toBe(false);
    stop.abort();
    await next;
  });

  it('waits for its turn, and tells that it begins slowly', async () => {
    const taken: number[] = [];
    const turn = (objects: number): number => {
      taken.push(objects);
      return taken.length === 1 ? 5 : 0;
    };
    const { signal } = new AbortController();
    const begins = new Pace({ objectsPerSecond: 0, verdict: () => Promise.resolve(SLOW), turn, signal });
    expect(await begins.next(16)).toBeUndefined();
    expect(begins.slowed?.gauge).toBe('beginning');
    await begins.next(8);
    expect(begins.slowed?.gauge).toBe('queues');
    expect(taken).toEqual([16, 8]);
  });

  it('takes no turn while the governor pauses', async () => {
    const stop = new AbortController();
    stop.abort();
    let turns = 0;
    const turn = (): number => turns++;
    const paused = new Pace({
      objectsPerSecond: 0,
      verdict: () => Promise.resolve(PAUSED),
      turn,
      signal: stop.signal,
    });
    expect(await paused.next(16)).toBe('watchers fall behind');
    expect(turns).toBe(0);
  });

  it('cuts batches to whole objects of a second of the rate', () => {
    expect([0, 4, 0.5, 100, 1.25, 3.33].map((rate) => pace(rate).batch(16))).toEqual([16, 4, 1, 16, 1, 3]);
  });
});
