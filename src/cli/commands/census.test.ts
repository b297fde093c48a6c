import { describe, expect, it } from '@jest/globals';
import { emptyTally, MAX_RECIPIENTS, UNNAMED } from '../../plan/tally.ts';
import { renderCensus } from './census.ts';

const lastLines = (escrow?: { recipients: string[]; more: boolean }) =>
  renderCensus({ ...emptyTally(), ...(escrow === undefined ? {} : { escrow }) }, 'kms vault')
    .split('\n')
    .slice(3);

describe('a census on a terminal', () => {
  it('lists who can open besides the key services', () => {
    expect(lastLines({ recipients: ['age1a', 'age1b', UNNAMED], more: true })).toEqual([
      'Values have an escrow: whoever holds an identity of one of these recipients opens theirs without the key service:',
      '  age1a',
      '  age1b',
      '  a recipient that is not named',
      `  and more than these ${MAX_RECIPIENTS}`,
    ]);
  });

  it('says that nobody can, and nothing where nobody looked', () => {
    expect(lastLines({ recipients: [], more: false })).toEqual([
      'No value has an escrow: no offline recipient can open any.',
    ]);
    expect(lastLines()).toEqual([]);
  });
});
