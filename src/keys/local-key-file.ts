import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { KeyServiceError } from './key-service.ts';
import { systemErrorCode } from './system-error.ts';

const keyBytes = 32;
/** Base64 of 32 bytes has 44 characters; whatever is longer than this with its whitespace is no key. */
const longestFileBytes = 256;

/**
 * Reads a key file: 32 bytes as they are, or in base64 with whitespace around. The caller wipes what it gets.
 *
 * @throws KeyServiceError kind `not-found` when there is no file; `denied` when it can't be read, may be read by every
 *   user of the machine or changed by its group, or holds no key; `timeout` for an aborted signal
 */
export async function readLocalKey(file: string, signal?: AbortSignal): Promise<Buffer> {
  if (signal?.aborted === true) {
    throw new KeyServiceError('timeout', 'TimeoutLocalKey', 'the call was given up', 'allow it more time');
  }
  let handle: FileHandle;
  try {
    // Not to wait for a writer, where the path is a pipe's.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(file, systemErrorCode(error) ?? 'unreadable');
  }
  try {
    // Of the open file, not of its path: that may be replaced in between.
    const stats = await handle.stat();
    if (!stats.isFile()) throw unfit(file, 'is not a file', 'name the file itself');
    const mode = stats.mode & 0o777;
    if ((mode & 0o027) !== 0) {
      throw unfit(
        file,
        `has mode 0${mode.toString(8)}: others than its owner may read or change it`,
        `chmod 0400 ${file}; for a mounted Secret, set defaultMode: 0400 in its volume`,
      );
    }
    const content = Buffer.alloc(longestFileBytes);
    const { bytesRead } = await handle.read(content, 0, longestFileBytes, 0);
    const key = keyOf(content.subarray(0, bytesRead));
    content.fill(0);
    if (key === undefined) {
      throw unfit(
        file,
        `holds no key: ${keyBytes} bytes, raw or in base64, make one`,
        `make one with: head -c ${keyBytes} /dev/urandom | base64`,
      );
    }
    return key;
  } catch (error) {
    if (error instanceof KeyServiceError) throw error;
    throw unreadable(file, systemErrorCode(error) ?? 'unreadable');
  } finally {
    await handle.close();
  }
}

function keyOf(content: Buffer): Buffer | undefined {
  if (content.length === keyBytes) return Buffer.from(content);
  const text = content.toString('latin1').trim();
  const key = Buffer.from(text, 'base64');
  return key.length === keyBytes && key.toString('base64') === text ? key : undefined;
}

function unreadable(file: string, code: string): KeyServiceError {
  return code === 'ENOENT'
    ? new KeyServiceError(
        'not-found',
        'LocalKeyNotFound',
        `there is no key file ${file}`,
        'put the key back from where it is kept safe: a new one opens nothing of what it sealed',
      )
    : unfit(file, `can't be read (${code})`, 'let the user that runs this read it');
}

function unfit(file: string, what: string, remedy: string): KeyServiceError {
  return new KeyServiceError('denied', 'LocalKeyUnfit', `the key file ${file} ${what}`, remedy);
}
