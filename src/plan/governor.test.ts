import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  FREE,
  govern,
  LEAST_FACTOR,
  restMs,
  STEP_MS,
  type Before,
  type Reading,
  type Verdict,
} from './governor.ts';

/** A gauge that warns at 10 and is critical at 20. */
function at(value: number, gauge: Reading['gauge'] = 'watchers'): Reading {
  return { gauge, value, warn: 10, critical: 20, says: (limit) => `${gauge} at ${value} (limit ${limit})` };
}

/** Verdict after verdict, a whole step apart. */
function over(steps: readonly (readonly Reading[])[], from: Before = FREE): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const readings of steps) verdicts.push(govern(readings, verdicts.at(-1) ?? from, STEP_MS));
  return verdicts;
}

/** As many steps in which nothing warns. */
function calm(steps: number): Reading[][] {
  return Array.from({ length: steps }, () => []);
}

const factorsOf = (verdicts: readonly Verdict[]): number[] =>
  verdicts.map(({ factor }) => Number(factor.toFixed(2)));

describe('the governor', () => {
  it('lets everything go at full speed while nothing warns', () => {
    expect(govern([at(9)], FREE, STEP_MS)).toEqual(FREE);
    expect(govern([], FREE, STEP_MS)).toEqual(FREE);
  });

  it('cuts the speed when a gauge begins to warn and in each step in which it still does, and says which, with the figure and the limit', () => {
    const verdicts = over([
      [at(10)],
      [at(12)],
      [at(12)],
      [at(12)],
      ...Array.from({ length: 4 }, () => [at(12)]),
    ]);
    expect(factorsOf(verdicts)).toEqual([0.7, 0.49, 0.34, 0.24, 0.17, 0.12, LEAST_FACTOR, LEAST_FACTOR]);
    expect(verdicts[1]).toMatchObject({
      level: 'slow',
      gauge: 'watchers',
      reason: 'watchers at 12 (limit 10)',
    });
  });

  it('pauses at once where a gauge is critical, whatever the others say', () => {
    expect(govern([at(1), at(12, 'queues'), at(20)], FREE, 0)).toEqual({
      level: 'pause',
      factor: LEAST_FACTOR,
      gauge: 'watchers',
      reason: 'watchers at 20 (limit 20)',
      ceiling: 1,
    });
  });

  it('tells all that warns, what is furthest beyond its limit first', () => {
    expect(govern([at(11), at(15, 'queues')], FREE, STEP_MS).reason).toBe(
      'queues at 15 (limit 10); watchers at 11 (limit 10)',
    );
  });

  it('comes back quickly to a little below where the warning began, from there by small steps, and says so meanwhile', () => {
    const verdicts = over([[at(12)], [at(12)], ...calm(9)]);
    expect(factorsOf(verdicts)).toEqual([0.7, 0.49, 0.71, 0.83, 0.88, 0.91, 0.93, 0.95, 0.97, 0.99, 1]);
    expect(verdicts[2]).toMatchObject({
      gauge: 'recovering',
      reason: 'getting faster again: 72 % of full speed',
    });
  });

  it('settles at what the cluster bears: the next warning comes later, and costs less', () => {
    const bears = 0.5;
    const verdicts = [FREE];
    for (let step = 0; step < 200; step += 1) {
      const before = verdicts.at(-1) ?? FREE;
      verdicts.push(govern(before.factor > bears ? [at(12)] : [], before, STEP_MS));
    }
    const settled = verdicts.slice(20);
    const mean = settled.reduce((sum, { factor }) => sum + factor, 0) / settled.length;
    const warnings = settled.filter(({ gauge }) => gauge === 'watchers').length;
    expect(mean).toBeGreaterThan(0.85 * bears);
    expect(warnings).toBeLessThan(settled.length / 5);
  });

  it('forgets where a warning began once it has passed that without one', () => {
    const verdicts = over([[at(12)], ...calm(6)], { factor: 0.55 });
    expect(factorsOf(verdicts)).toEqual([0.39, 0.46, 0.5, 0.52, 0.54, 0.56, 0.66]);
    expect(verdicts.map(({ ceiling }) => ceiling)).toEqual([
      ...Array.from({ length: 5 }, () => 0.55),
      ...Array.from({ length: 2 }, () => undefined),
    ]);
  });

  it('takes a warning on the way back up for no new limit at once, but for one that is three tenths lower', () => {
    const [, , , onTheWay] = over([[at(12)], [at(25)], [], [at(12)]]);
    expect(onTheWay).toMatchObject({ gauge: 'watchers', ceiling: 0.7 });
    expect(over([[at(12)]], { factor: 0.6, ceiling: 0.7 })[0]?.ceiling).toBe(0.6);
  });

  it('goes on after a pause as fast as before, slowed by what warns, where all that it pauses for passes', () => {
    const waits: Reading = { gauge: 'watchers', value: 1, critical: 1, passes: true, says: () => 'waits' };
    const verdicts = over([[at(12)], [at(12), waits], [waits], []]);
    expect(verdicts.map(({ level }) => level)).toEqual(['slow', 'pause', 'pause', 'slow']);
    expect(factorsOf(verdicts).slice(0, 3)).toEqual([0.7, 0.49, 0.49]);
    expect(verdicts[3]?.factor).toBeGreaterThan(0.49);
    expect(govern([waits, at(20)], FREE, STEP_MS)).toMatchObject({ level: 'pause', factor: LEAST_FACTOR });
  });

  it('keeps what it knew through a pause that has nothing to do with it', () => {
    const night: Reading = { gauge: 'schedule', value: 1, critical: 1, says: () => 'night' };
    const [, , paused] = over([[at(12)], [], [night]]);
    expect(paused).toMatchObject({ level: 'pause', ceiling: 1 });
    expect(over([[night]])[0]?.ceiling).toBeUndefined();
  });

  it('slows down no further, and comes back no faster, for verdicts that lie close together', () => {
    const warned = govern([at(12)], FREE, STEP_MS);
    let quick = warned;
    for (let i = 0; i < 5; i += 1) quick = govern([at(12)], quick, STEP_MS / 5);
    expect(quick.factor).toBeCloseTo(govern([at(12)], warned, STEP_MS).factor);
    expect(govern([], { factor: 0.5 }, STEP_MS / 5).factor).toBeCloseTo(0.52);
  });

  it('takes one step only after a long time in which nobody asked', () => {
    expect(govern([], { factor: 0.1 }, 3_600_000).factor).toBeCloseTo(0.2);
  });

  const readings = fc.array(
    fc.record({
      value: fc.double({ min: 0, max: 100, noNaN: true }),
      warn: fc.option(fc.double({ min: 1, max: 50, noNaN: true }), { nil: undefined }),
      critical: fc.option(fc.double({ min: 1, max: 100, noNaN: true }), { nil: undefined }),
    }),
    { maxLength: 6 },
  );
  const factors = fc.double({ min: LEAST_FACTOR, max: 1, noNaN: true });
  const befores = fc.record(
    {
      factor: factors,
      gauge: fc.constantFrom('watchers' as const, 'recovering' as const),
      ceiling: factors,
    },
    { requiredKeys: ['factor'] },
  );
  const times = fc.integer({ min: 0, max: 100_000 });
  const speed = ({ level, factor }: Verdict): number => (level === 'pause' ? 0 : factor);
  const made = (all: readonly { value: number; warn?: number; critical?: number }[]): Reading[] =>
    all.map((one) => ({ gauge: 'queues', says: String, ...one }));
  const plain = (
    all: readonly { value: number; warn: number | undefined; critical: number | undefined }[],
  ): Reading[] =>
    made(
      all.map(({ value, warn, critical }) => ({
        value,
        ...(warn === undefined ? {} : { warn }),
        ...(critical === undefined ? {} : { critical }),
      })),
    );

  it('is never faster than the strictest gauge alone would be', () => {
    fc.assert(
      fc.property(readings, befores, times, (all, before, since) => {
        const together = speed(govern(plain(all), before, since));
        for (const one of plain(all))
          expect(together).toBeLessThanOrEqual(speed(govern([one], before, since)));
      }),
    );
  });

  it('is never faster when a gauge gets worse', () => {
    fc.assert(
      fc.property(
        readings,
        fc.nat(),
        fc.double({ min: 0, max: 100, noNaN: true }),
        befores,
        times,
        (all, which, more, before, since) => {
          const worse = all.map((one, i) =>
            i === which % all.length ? { ...one, value: one.value + more } : one,
          );
          expect(speed(govern(plain(worse), before, since))).toBeLessThanOrEqual(
            speed(govern(plain(all), before, since)),
          );
        },
      ),
    );
  });

  it('is back at full speed twenty steps after everything is calm, whatever it was', () => {
    fc.assert(fc.property(befores, (before) => expect(over(calm(20), before).at(-1)).toEqual(FREE)));
  });

  it('always says why it is not at full speed', () => {
    fc.assert(
      fc.property(readings, befores, times, (all, before, since) => {
        const { level, reason } = govern(plain(all), before, since);
        expect(reason === undefined).toBe(level === 'free');
      }),
    );
  });
});

describe('the rest between two batches', () => {
  it('is none at full speed without a limit', () => expect(restMs(16, 20, 1, 0)).toBe(0));
  it('leaves the engine its part of the time', () => expect(restMs(16, 20, 0.25, 0)).toBe(60));
  it('keeps to a rate', () => expect(restMs(16, 20, 1, 100)).toBe(140));
  it('keeps to a part of the rate where both slow it down', () => expect(restMs(16, 20, 0.5, 100)).toBe(300));
  it('makes no batch wait that came later than its rate', () => expect(restMs(16, 500, 1, 100)).toBe(0));

  it('never lets more pass than the rate, whatever the batches and the time that they took', () => {
    const batches = fc.array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 2_000 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(
        batches,
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: LEAST_FACTOR, max: 1, noNaN: true }),
        (all, rate, factor) => {
          const objects = all.reduce((sum, [one]) => sum + one, 0);
          const ms = all.reduce((sum, [one, took]) => sum + took + restMs(one, took, factor, rate), 0);
          expect((objects * 1000) / ms).toBeLessThanOrEqual(rate * 1.000001);
        },
      ),
    );
  });
});
