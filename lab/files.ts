import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes a file by rename, so that a reader sees the old one or the new one and never half of one.
 *
 * Synchronous on purpose: between starting a server and remembering its pid nothing else may run.
 *
 * @param mode - 0600 unless given: most of a lab's files hold tokens or keys
 */
export function writeByRename(file: string, text: string, mode = 0o600): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  writeFileSync(temporary, text, { mode });
  renameSync(temporary, file);
}
