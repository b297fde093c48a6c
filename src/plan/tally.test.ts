import { describe, expect, it } from '@jest/globals';
import { emptyTally, leftIn, type CensusRow } from './tally.ts';

function tally(...rows: Omit<CensusRow, 'resource'>[]) {
  const others = { resource: 'configmaps', provider: 'aescbc', key: 'key1', count: 1_000 };
  return { ...emptyTally(), rows: [...rows.map((row) => ({ resource: 'secrets', ...row })), others] };
}

describe('what a census found left of one resource', () => {
  const moved = tally(
    { provider: 'aescbc', key: 'key2', count: 90 },
    { provider: 'aescbc', key: 'key1', count: 7 },
    { provider: 'identity', count: 3 },
    { provider: 'unknown', count: 2 },
  );

  it('is what another key or provider sealed, on the way to the target', () => {
    expect(leftIn(moved, 'secrets', { type: 'aescbc', keyName: 'key2' }, 'target')).toBe(10);
    expect(leftIn(moved, 'secrets', { type: 'aesgcm', keyName: 'key2' }, 'target')).toBe(100);
  });
  it('is what the target sealed, on the way back', () => {
    expect(leftIn(moved, 'secrets', { type: 'aescbc', keyName: 'key2' }, 'source')).toBe(90);
    expect(leftIn(moved, 'secrets', { type: 'identity' }, 'source')).toBe(3);
  });
  it('is another key id of the same kms provider too, but no generation of it', () => {
    const kms = tally(
      { provider: 'kms v2', key: 'vault', keyId: 'b', count: 5 },
      { provider: 'kms v2', key: 'vault', keyId: 'b;generation=2', count: 4 },
      { provider: 'kms v2', key: 'vault', keyId: 'a', count: 2 },
      { provider: 'kms v1', key: 'vault', count: 1 },
    );
    expect(leftIn(kms, 'secrets', { type: 'kms', name: 'vault', keyId: 'b' }, 'target')).toBe(3);
    expect(leftIn(kms, 'secrets', { type: 'kms', name: 'vault' }, 'target')).toBe(1);
  });
});
