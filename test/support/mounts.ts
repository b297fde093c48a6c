import { mkdtemp, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './cli.ts';

/** Whether this process may mount file systems; most that aren't root in a machine of their own may not. */
export async function mayMount(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'keyferry-mount-'));
  try {
    const undo = await mountSmallDisk(folder);
    await undo();
    return true;
  } catch {
    return false;
  } finally {
    await rmdir(folder);
  }
}

/**
 * Mounts an empty file system of 64 KiB over a folder.
 *
 * @returns how to take it away again
 */
export async function mountSmallDisk(folder: string): Promise<() => Promise<void>> {
  await mount(['-t', 'tmpfs', '-o', 'size=64k', 'keyferry-test', folder]);
  return () => unmount(folder);
}

/**
 * Mounts a file over itself, as a container that is given a single file has it.
 *
 * @returns how to take the mount away again
 */
export async function mountFile(file: string): Promise<() => Promise<void>> {
  await mount(['--bind', file, file]);
  return () => unmount(file);
}

/** Writes into a folder until its file system has no room left. */
export async function fill(folder: string): Promise<void> {
  for (const size of [4096, 1]) {
    for (let i = 0; ; i += 1) {
      try {
        await writeFile(join(folder, `filler-${size}-${i}`), Buffer.alloc(size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') break;
        throw error;
      }
    }
  }
}

async function mount(args: readonly string[]): Promise<void> {
  const { code, stderr } = await run('mount', args);
  if (code !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`);
}

async function unmount(place: string): Promise<void> {
  const { code, stderr } = await run('umount', [place]);
  if (code !== 0) throw new Error(`umount ${place}: ${stderr}`);
}
