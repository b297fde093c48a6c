import { describe, expect, it } from '@jest/globals';
import {
  isKeyService,
  journeyOf,
  journeys,
  nameOf,
  PROVIDERS,
  SPECIAL,
  specialJourney,
  through,
  type Journey,
} from './journey.ts';

function canBeGone(journey: Journey): void {
  expect(isKeyService(journey[0]?.source ?? 'vault')).toBe(false);
  journey.slice(1).forEach((leg, i) => expect(leg.source).toBe(journey[i]?.target));
}

describe.each([1, 2, 3, 4])('the journeys of the matrix, for %i labs', (count) => {
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
    all.forEach(canBeGone);
  });

  it('are as many as asked for, and about as long', () => {
    expect(all).toHaveLength(count);
    for (const { length } of all) expect(Math.abs(length - 42 / count)).toBeLessThan(5);
  });
});

describe('the special journey', () => {
  it('goes every special leg once, and can be gone', () => {
    const legs = specialJourney().map(nameOf);
    for (const one of SPECIAL) expect(legs.filter((name) => name === nameOf(one))).toHaveLength(1);
    canBeGone(specialJourney());
  });

  it('has no leg of the ordinary ones: their results would be its own', () => {
    const ordinary = journeys(1).flat().map(nameOf);
    expect(
      specialJourney()
        .map(nameOf)
        .filter((name) => ordinary.includes(name)),
    ).toEqual([]);
  });
});

describe('the journey of one leg', () => {
  it('is the leg alone where a cluster can begin with its source', () => {
    expect(journeyOf('identity-to-vault')).toEqual([{ source: 'identity', target: 'vault' }]);
  });

  it('goes to a key service first', () => {
    expect(journeyOf('vault-to-vault-2').map(nameOf)).toEqual(['aescbc-to-vault', 'vault-to-vault-2']);
  });

  it('is refused where there is no such leg', () => {
    expect(() => journeyOf('hsm-to-hsm')).toThrow('no leg of the matrix is called hsm-to-hsm');
  });
});

it('a journey through places has a leg between each two', () => {
  expect(through('aescbc', 'hsm', 'vault').map(nameOf)).toEqual(['aescbc-to-hsm', 'hsm-to-vault']);
});
