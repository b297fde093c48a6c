import type { MigrationSpec } from '../spec/migration.ts';
import { generationOf } from './generation.ts';

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

/**
 * The key id by which every plugin can announce a version. One that announced it before, and left it, takes it only under
 * another key id: API servers would hold what it sealed earlier for current.
 *
 * @param announceable - by each plugin
 */
export function commonKeyId(announceable: readonly string[]): string | undefined {
  return [...announceable].sort((a, b) => generationOf(b) - generationOf(a))[0];
}
