import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FREE, govern, LEAST_FACTOR, restMs, STEP_MS, type Reading, type Verdict } from './governor.ts';

/** A gauge that warns at 10 and is critical at 20. */
function at(value: number, gauge: Reading['gauge'] = 'watchers'): Reading {
  return { gauge, value, warn: 10, critical: 20, says: (limit) => `${gauge} at ${value} (limit ${limit})` };
}

/** Verdict after verdict, a whole step apart. */
function over(steps: readonly (readonly Reading[])[], from = 1): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const readings of steps) verdicts.push(govern(readings, verdicts.at(-1)?.factor ?? from, STEP_MS));
  return verdicts;
}

describe('the governor', () => {
  it('lets everything go at full speed while nothing warns', () => {
    expect(govern([at(9)], 1, STEP_MS)).toEqual(FREE);
    expect(govern([], 1, STEP_MS)).toEqual(FREE);
  });

  it('halves the speed in each step in which a gauge warns, and says which, with the figure and the limit', () => {
    const verdicts = over([[at(10)], [at(12)], [at(12)], [at(12)], [at(12)]]);
    expect(verdicts.map(({ factor }) => factor)).toEqual([0.5, 0.25, 0.125, LEAST_FACTOR, LEAST_FACTOR]);
    expect(verdicts[1]).toMatchObject({
      level: 'slow',
      gauge: 'watchers',
      reason: 'watchers at 12 (limit 10)',
    });
  });

  it('pauses at once where a gauge is critical, whatever the others say', () => {
    expect(govern([at(1), at(12, 'queues'), at(20)], 1, 0)).toEqual({
      level: 'pause',
      factor: LEAST_FACTOR,
      gauge: 'watchers',
      reason: 'watchers at 20 (limit 20)',
    });
  });

  it('tells all that warns, what is furthest beyond its limit first', () => {
    expect(govern([at(11), at(15, 'queues')], 1, STEP_MS).reason).toBe(
      'queues at 15 (limit 10); watchers at 11 (limit 10)',
    );
  });

  it('comes back by a tenth of full speed in each step, and says so meanwhile', () => {
    const verdicts = over([[at(12)], [at(1)], [at(1)], [at(1)], [at(1)], [at(1)]]);
    expect(verdicts.map(({ factor }) => Number(factor.toFixed(3)))).toEqual([0.5, 0.6, 0.7, 0.8, 0.9, 1]);
    expect(verdicts[1]).toMatchObject({
      gauge: 'recovering',
      reason: 'getting faster again: 60 % of full speed',
    });
  });

  it('slows down no further, and comes back no faster, for verdicts that lie close together', () => {
    const quick = Array.from({ length: 5 }).reduce<number>(
      (factor) => govern([at(12)], factor, STEP_MS / 5).factor,
      1,
    );
    expect(quick).toBeCloseTo(0.5);
    expect(govern([], 0.5, STEP_MS / 5).factor).toBeCloseTo(0.52);
  });

  it('takes one step only after a long time in which nobody asked', () => {
    expect(govern([], 0.1, 3_600_000).factor).toBeCloseTo(0.2);
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
      fc.property(readings, factors, times, (all, before, since) => {
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
        factors,
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

  it('is back at full speed ten steps after everything is calm, whatever it was', () => {
    fc.assert(
      fc.property(factors, (before) => {
        expect(
          over(
            Array.from({ length: 10 }, () => []),
            before,
          ).at(-1),
        ).toEqual(FREE);
      }),
    );
  });

  it('always says why it is not at full speed', () => {
    fc.assert(
      fc.property(readings, factors, times, (all, before, since) => {
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
