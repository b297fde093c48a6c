import { describe, expect, it } from '@jest/globals';
import { isKeyService, journeys, PROVIDERS } from './journey.ts';

describe.each([1, 2, 3])('the journeys of the matrix, for %i labs', (count) => {
  const all = journeys(count);

  it('go through every directed pair once', () => {
    const pairs = all.flat().map(({ source, target }) => `${source} → ${target}`);
    const wanted = PROVIDERS.flatMap((source) =>
      PROVIDERS.filter((target) => target !== source).map((target) => `${source} → ${target}`),
    );
    expect(wanted).toHaveLength(42);
    expect([...pairs].sort()).toEqual([...wanted].sort());
  });

  it('begin without a key service, each leg where the one before ended', () => {
    for (const journey of all) {
      expect(isKeyService(journey[0]?.source ?? 'vault')).toBe(false);
      journey.slice(1).forEach((leg, i) => expect(leg.source).toBe(journey[i]?.target));
    }
  });

  it('are as many as asked for, and about as long', () => {
    expect(all).toHaveLength(count);
    for (const { length } of all) expect(Math.abs(length - 42 / count)).toBeLessThan(5);
  });
});
