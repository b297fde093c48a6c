import type { MigrationSpec } from '../spec/migration.ts';
import { writingSide, type Arrangement } from './arrangement.ts';
import { generationOf } from './generation.ts';
import type { Observed } from './transition.ts';

/**
 * A migration within one kms entry, from one version of its key to the newest. No file changes: what API servers seal with is
 * what their plugins announce, and keyferry tells them when.
 */
export interface Rotation {
  /** The key ids of the two versions, as they are announced now, were last, or will be. */
  source: string;
  target: string;
}

/** Source and target are one entry of the file. */
export function isRotation({ source, target }: MigrationSpec): boolean {
  return source.kms !== undefined && source.kms.name === target.kms?.name;
}

/** Since when every API server has been seen to seal with a key id, in milliseconds since the epoch. */
export interface Steady {
  keyId: string;
  at: number;
}

/**
 * Since when the key id has been steady that canaries have just shown, and for how many milliseconds it has yet to be. One that
 * changes begins anew: whoever went back to the other meanwhile would rewrite what others have rewritten.
 */
export function steadiness(
  before: Steady | undefined,
  keyId: string,
  { forMs, now }: { forMs: number; now: number },
): { since: Steady; leftMs: number } {
  const since = before?.keyId === keyId ? before : { keyId, at: now };
  return { since, leftMs: Math.max(0, since.at + forMs - now) };
}

/** Whether a rotation's key id has to be steady first: before rewriting begins, where its direction's writer is proven. */
export function mustBeSteady(seen: Pick<Observed, 'goal' | 'rewrite'>, arrangement: Arrangement): boolean {
  return !seen.rewrite.begun && writingSide(arrangement) === seen.goal;
}

/**
 * The key id by which every plugin can announce a version. One that announced it before, and left it, takes it only under
 * another key id: API servers would hold what it sealed earlier for current.
 *
 * @param announceable - by each plugin
 */
export function commonKeyId(announceable: readonly string[]): string | undefined {
  return [...announceable].sort((a, b) => generationOf(b) - generationOf(a))[0];
}
