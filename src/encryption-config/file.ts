import { constants } from 'node:fs';
import { lstat, open, readFile, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { KeyferryError } from '../errors.ts';
import { fileError, errnoOf } from './file-errors.ts';
import { hashOf } from './hash.ts';

export interface ConfigurationFile {
  readonly text: string;
  /** As kube-apiserver tells it: see {@link hashOf}. */
  readonly hash: string;
  /** Permission bits alone. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Reads a configuration file.
 *
 * @throws KeyferryError `FileNotFound`, `FileNotReadable`, `FileIsDirectory`, `FileNotText`, `FileFailed`
 */
export async function readConfigurationFile(path: string): Promise<ConfigurationFile> {
  try {
    const file = await open(path, 'r');
    try {
      // One descriptor for both, so that text and owner are those of the same file.
      const { mode, uid, gid } = await file.stat();
      const content = await file.readFile();
      const text = content.toString('utf8');
      // Written back, it would be another file.
      if (!Buffer.from(text).equals(content)) throw notText(path);
      return { text, hash: hashOf(content), mode: mode & 0o7777, uid, gid };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}

/**
 * Replaces a file in one step, keeping mode and owner: a reader sees the old text or the new one, also after a crash.
 *
 * @param expectedHash - of the text that the new one was made from
 * @throws KeyferryError `EncryptionConfigurationChanged` when the file has another hash by now; `FileIsMountPoint`,
 * `FileNotWritable`, `FileSystemReadOnly`, `FileSystemFull`, `FileBusy` and those of reading. The file is then as it was.
 */
export async function replaceConfigurationFile(
  path: string,
  newText: string,
  { expectedHash }: { readonly expectedHash: string },
): Promise<{ hash: string }> {
  const present = await readConfigurationFile(path);
  const hash = hashOf(newText);
  if (present.hash !== expectedHash) {
    throw new KeyferryError(
      'EncryptionConfigurationChanged',
      `${path} was changed by someone else: its hash is ${present.hash}, expected was ${expectedHash}.`,
      {
        remedy:
          'Find out who changed it and why; put the expected text back, or start from the file as it is now.',
      },
    );
  }
  if (hash === present.hash) return { hash };
  // A link stays a link: what it leads to is replaced.
  const target = await realpath(path);
  if (await isMountPoint(target)) throw mountPointError(target);
  await writeBeside(target, newText, present);
  return { hash };
}

/** Whether the file itself is a mount (as a bind mount of a single file is): it can't be replaced by a rename. */
export async function isMountPoint(path: string): Promise<boolean> {
  const absolute = resolve(path);
  try {
    const [file, directory] = await Promise.all([lstat(absolute), stat(dirname(absolute))]);
    if (!file.isSymbolicLink() && file.dev !== directory.dev) return true;
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  // A bind mount from the same file system has the same device.
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  return mounts.split('\n').some((line) => unescapeMount(line.split(' ')[4] ?? '') === absolute);
}

/** mountinfo writes blanks and backslashes of a path in octal. */
function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Where a migration keeps the text that a file had before it. */
export function originalPath(path: string, migrationId: string): string {
  return `${path}.keyferry-${migrationId}.orig`;
}

/**
 * Keeps the file's text aside, with its mode and owner. One that a migration has kept before stays: by then the file
 * may have been edited.
 *
 * @returns the hash of what is kept
 * @throws KeyferryError as {@link readConfigurationFile} and {@link replaceConfigurationFile} do
 */
export async function keepOriginal(path: string, migrationId: string): Promise<{ hash: string }> {
  const kept = originalPath(path, migrationId);
  try {
    return { hash: (await readConfigurationFile(kept)).hash };
  } catch (error) {
    if (!(error instanceof KeyferryError) || error.code !== 'FileNotFound') throw error;
  }
  const { text, hash, ...attributes } = await readConfigurationFile(path);
  await writeBeside(kept, text, attributes);
  return { hash };
}

/** The text that {@link keepOriginal} kept. */
export async function readOriginal(path: string, migrationId: string): Promise<ConfigurationFile> {
  return readConfigurationFile(originalPath(path, migrationId));
}

/** Removes what {@link keepOriginal} kept, if it is there. */
export async function dropOriginal(path: string, migrationId: string): Promise<void> {
  const kept = originalPath(path, migrationId);
  try {
    await rm(kept, { force: true });
    await syncDirectory(dirname(kept));
  } catch (error) {
    throw fileError(error, 'remove', kept);
  }
}

async function writeBeside(
  path: string,
  text: string,
  { mode, uid, gid }: Pick<ConfigurationFile, 'mode' | 'uid' | 'gid'>,
): Promise<void> {
  const directory = dirname(path);
  // One name for each file: what a crash left behind is overwritten, not piled up.
  const temporary = join(directory, `.${basename(path)}.keyferry-new`);
  try {
    await rm(temporary, { force: true });
    const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    await fill(file, text, { mode, uid, gid });
    await rename(temporary, path);
    await syncDirectory(directory);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    // EXDEV cannot come from two names in one directory, unless one of them is a mount.
    if (['EBUSY', 'EXDEV'].includes(errnoOf(error) ?? '')) throw mountPointError(path);
    throw fileError(error, 'replace', path);
  }
}

async function fill(
  file: FileHandle,
  text: string,
  { mode, uid, gid }: Pick<ConfigurationFile, 'mode' | 'uid' | 'gid'>,
): Promise<void> {
  try {
    // The owner first: changing it may clear bits of the mode, and nobody else may read the keys before.
    const { uid: ownUid, gid: ownGid } = await file.stat();
    if (ownUid !== uid || ownGid !== gid) await file.chown(uid, gid);
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function notText(path: string): KeyferryError {
  return new KeyferryError('FileNotText', `${path} is not UTF-8 text.`, {
    remedy: 'Check the path, or save the file as UTF-8.',
  });
}

function mountPointError(path: string): KeyferryError {
  return new KeyferryError(
    'FileIsMountPoint',
    `${path} is a mount of its own, so it can't be replaced by a rename; an API server with such a mount would not see the new file either.`,
    {
      remedy: `Mount the directory ${dirname(path)} instead of the file, in the agent and in the API server's static pod.`,
    },
  );
}
