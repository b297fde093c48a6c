import { describe, expect, test } from '@jest/globals';
import { SlowStart } from './slow-start.ts';

/** Takes turns, one as soon as the last has come, and answers with when each came. */
function turns(start: SlowStart, batches: number, objects: number, from = 0, relist = Infinity): number[] {
  let now = from;
  return Array.from({ length: batches }, () => (now += start.turn(objects, now, relist)));
}

/** Objects of the second that begins so many milliseconds after the first turn. */
function inSecond(at: readonly number[], objects: number, ms: number): number {
  return at.filter((one) => one >= ms && one < ms + 1_000).length * objects;
}

describe('a slow start', () => {
  test('lets the first batch begin at once, and no more than 500 a second', () => {
    const at = turns(new SlowStart(), 20, 100);
    expect(at[0]).toBe(0);
    expect(inSecond(at, 100, 0)).toBeLessThanOrEqual(600);
  });

  test('has rewritten four times as much before as it rewrites in a second, and five hundred', () => {
    const at = turns(new SlowStart(), 1_000, 100);
    for (const second of [1, 2, 4, 6, 8]) {
      const before = at.filter((one) => one < second * 1_000).length * 100;
      // What comes within the second counts as well: a third at most.
      expect(inSecond(at, 100, second * 1_000)).toBeLessThanOrEqual(1.33 * (500 + before / 4));
    }
  });

  test('no longer holds back after ten thousand', () => {
    const start = new SlowStart();
    const last = turns(start, 100, 100).at(-1) ?? NaN;
    expect(last).toBeLessThan(8_000);
    expect(inSecond(turns(start, 100, 100, last), 100, last)).toBeGreaterThan(3_000);
  });

  test('is faster where watchers begin anew within seconds, and none where they do at once', () => {
    const second = (relist: number) => {
      const at = turns(new SlowStart(), 1_000, 100, 0, relist);
      return inSecond(at, 100, 0);
    };
    expect(second(50)).toBe(second(Infinity));
    expect(second(0.5)).toBeGreaterThan(5 * second(50));
    expect(second(0)).toBe(100_000);
  });

  test('is shared by all who take turns', () => {
    const start = new SlowStart();
    expect([start.turn(500, 0, Infinity), start.turn(500, 0, Infinity)]).toEqual([0, 1_000]);
  });

  test('owes nothing for turns that nobody took', () => {
    const start = new SlowStart();
    start.turn(500, 0, Infinity);
    expect(start.turn(500, 10_000, Infinity)).toBe(0);
    expect(start.turn(500, 10_000, Infinity)).toBeGreaterThan(500);
  });

  test('begins anew after a rest from which watch caches shrink', () => {
    const start = new SlowStart();
    const last = turns(start, 100, 100).at(-1) ?? NaN;
    const again = last + 100_000;
    expect(turns(start, 20, 100, again).map((at) => Math.round(at - again))).toEqual(
      turns(new SlowStart(), 20, 100).map(Math.round),
    );
  });
});
