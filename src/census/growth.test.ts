import { describe, expect, it } from '@jest/globals';
import type { EnvelopeTarget } from '../envelope/types.ts';
import type { CensusRow } from '../plan/tally.ts';
import { growthOf } from './growth.ts';

const KEY1 = { type: 'aescbc', keyName: 'key1' } as const;
const VAULT = { type: 'kms', name: 'vault' } as const;
const OLD = { type: 'kms', name: 'old' } as const;
/** Prefix (k8s:enc:aescbc:v1:key1:), IV and a block of padding. */
const AESCBC = 23 + 32;
/** Prefix (k8s:enc:kms:v2:vault:), info, nonce and tag, and the fields of the message. */
const KMS = 21 + 60 + 12;

function row(count: number, provider: string, key?: string, keyId?: string): CensusRow {
  return {
    resource: 'secrets',
    provider,
    count,
    ...(key === undefined ? {} : { key }),
    ...(keyId === undefined ? {} : { keyId }),
  };
}

function growth(
  rows: CensusRow[],
  target: EnvelopeTarget,
  source: typeof KEY1 | typeof OLD | typeof VAULT = KEY1,
  sealBytes: { target?: number; source?: number } = { target: 300, source: 200 },
): number {
  return growthOf(rows, target, { source, sealBytes });
}

describe('what an object grows by in the format of the target', () => {
  it('is the envelope, where it is in the clear', () =>
    expect(growth([row(5, 'identity')], VAULT)).toBe(KMS + 300));
  it('is the envelope less that of the local key that it is under', () =>
    expect(growth([row(5, 'aescbc', 'key1')], VAULT)).toBe(KMS + 300 - AESCBC));
  it('is the difference of what the two plugins add, between two key services', () =>
    // "old" is two letters shorter than "vault".
    expect(growth([row(5, 'kms v2', 'old')], VAULT, OLD)).toBe(2 + 100));
  it('is below zero on the way back to a local key', () =>
    expect(growth([row(5, 'kms v2', 'vault')], KEY1, VAULT, { source: 300 })).toBe(AESCBC - KMS - 300));
  it('is an average over what is outside of the target', () =>
    expect(
      growth([row(30, 'identity'), row(10, 'aescbc', 'key1'), row(1_000, 'kms v2', 'vault')], VAULT),
    ).toBe(KMS + 300 - AESCBC / 4));
  it('is nothing of a rotation, whose plugin adds as much as before', () =>
    expect(
      growth([row(5, 'kms v2', 'vault', 'v1')], { ...VAULT, keyId: 'v2' }, VAULT, {
        target: 300,
        source: 300,
      }),
    ).toBe(0));
  it('is nothing of what a later generation of the same key id sealed', () =>
    expect(
      growth(
        [row(5, 'kms v2', 'vault', 'v2;generation=2'), row(5, 'kms v2', 'vault', 'v2')],
        { ...VAULT, keyId: 'v2' },
        VAULT,
        { target: 500, source: 300 },
      ),
    ).toBe(0));
  it('is the whole envelope, where what it has now is not known', () =>
    expect(growth([row(5, 'kms v2', 'another'), row(5, 'unknown')], VAULT)).toBe(KMS + 300));
  it('is taken for what a usual plugin adds, where no agent tells', () =>
    expect(growth([row(5, 'identity')], VAULT, KEY1, {})).toBeGreaterThan(KMS + 200));
  it('is nothing where all is under the target', () =>
    expect(growth([row(5, 'kms v2', 'vault')], VAULT)).toBe(0));
});
