import type { Arrangement } from '../encryption-config/types.ts';

export type { Arrangement };

/** In the order in which a migration goes through them; neighbours can read each other's writes. */
export const ARRANGEMENTS: readonly Arrangement[] = [
  'source-only',
  'target-reads',
  'target-writes',
  'target-only',
];

/** The side of a migration: the provider it comes from, and the one it goes to. */
export type Side = 'source' | 'target';

/** Which side an API server with this arrangement seals new values with. */
export function writingSide(arrangement: Arrangement): Side {
  return arrangement === 'source-only' || arrangement === 'target-reads' ? 'source' : 'target';
}

/**
 * Whether API servers may run the two side by side: each reads what the other writes.
 *
 * Only neighbours may. `target-only` beside `target-writes` further needs that no object is left in the source's
 * format, and `source-only` beside `target-reads` that none is in the target's: the census proves that before.
 */
export function compatible(a: Arrangement, b: Arrangement): boolean {
  return Math.abs(ARRANGEMENTS.indexOf(a) - ARRANGEMENTS.indexOf(b)) <= 1;
}
