import { chmod, stat } from 'node:fs/promises';
import { run } from './cli.ts';

/**
 * Makes a folder unwritable, for root too (permission bits don't bind root: the immutable attribute does).
 *
 * @returns how to undo it; undefined where this machine has no way to
 */
export async function makeReadOnly(folder: string): Promise<(() => Promise<unknown>) | undefined> {
  if (process.getuid?.() !== 0) {
    const { mode } = await stat(folder);
    await chmod(folder, 0o555);
    return async () => await chmod(folder, mode);
  }
  const immutable = await run('chattr', ['+i', folder]).catch(() => undefined);
  return immutable?.code === 0 ? () => run('chattr', ['-i', folder]) : undefined;
}
