import type { ProviderRef } from '../encryption-config/types.ts';
import { envelopeBytes } from '../envelope/overhead.ts';
import type { EnvelopeTarget } from '../envelope/types.ts';
import type { SealBytes } from '../plan/seal-bytes.ts';
import { isUnder, type CensusRow } from '../plan/tally.ts';

/** What a plugin adds to each value where nobody tells: keyferry's with Vault has 228, with another key service or an escrow more. */
const USUAL_SEAL_BYTES = 400;

/**
 * How many bytes an object gets when it is brought into the target's format, on average over those that are outside of it;
 * below zero where it gets smaller.
 */
export function growthOf(
  rows: readonly CensusRow[],
  target: EnvelopeTarget,
  { source, sealBytes }: { source: ProviderRef; sealBytes: SealBytes },
): number {
  const inTarget = envelopeBytes(target, sealBytes.target ?? USUAL_SEAL_BYTES);
  const sourceSeal = sealBytes.source ?? sealBytes.target ?? USUAL_SEAL_BYTES;
  let objects = 0;
  let growth = 0;
  for (const row of rows) {
    if (isUnder(row, target)) continue;
    objects += row.count;
    growth += row.count * (inTarget - presentEnvelope(row, source, sourceSeal));
  }
  return objects === 0 ? 0 : growth / objects;
}

/** Bytes that a value has around its object now; none where that isn't known, for room that isn't needed does no harm. */
function presentEnvelope({ provider, key }: CensusRow, source: ProviderRef, sourceSeal: number): number {
  if (key === undefined) return 0;
  switch (provider) {
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return envelopeBytes({ type: provider, keyName: key }, 0);
    case 'kms v2':
      return source.type === 'kms' && source.name === key
        ? envelopeBytes({ type: 'kms', name: key }, sourceSeal)
        : 0;
    default:
      return 0;
  }
}
