import { constants } from 'node:fs';
import { access, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { kmsV2Limits } from '../envelope/limits.ts';
import { KeyferryError } from '../errors.ts';
import { KeyServiceError } from '../keys/key-service.ts';
import { systemErrorCode } from '../keys/system-error.ts';

const keyId = z.string().min(1).max(kmsV2Limits.keyIdBytes);

const schema = z
  .strictObject({
    announced: z.strictObject({ keyId, description: z.string() }),
    left: z.array(keyId),
  })
  .refine(
    ({ announced, left }) => !left.includes(announced.keyId),
    'the announced key id is among those left',
  );

/** What a ledger says: the version that is announced, and the key ids that were before. Empty before the first. */
export type LedgerEntry = Partial<Pick<z.infer<typeof schema>, 'announced'>> & {
  readonly left: readonly string[];
};

/**
 * Which version of its key a plugin announces, kept in a file so that it holds over restarts:
 * `{"announced": {"keyId", "description"}, "left": [key ids]}`. Key ids are no secrets.
 */
export class Ledger {
  readonly #path: string;
  #entry: LedgerEntry;

  private constructor(path: string, entry: LedgerEntry) {
    this.#path = path;
    this.#entry = entry;
  }

  /**
   * Reads the ledger. One that isn't there is empty.
   *
   * @param path - absolute; its folder must be there
   * @throws KeyferryError `RefusedLedger` for one that can't be read or written, or that holds something else
   */
  static async open(path: string): Promise<Ledger> {
    try {
      await access(dirname(path), constants.W_OK);
      return new Ledger(path, schema.parse(JSON.parse(await readFile(path, 'utf8'))));
    } catch (error) {
      if (error instanceof SyntaxError) throw refused(path, 'it is not JSON');
      if (error instanceof z.ZodError) throw refused(path, z.prettifyError(error).replace(/\s+/g, ' '));
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      if (code !== 'ENOENT' || !(await isThere(dirname(path)))) throw refused(path, code);
      return new Ledger(path, { left: [] });
    }
  }

  get entry(): LedgerEntry {
    return this.#entry;
  }

  /**
   * Writes the ledger anew. When it resolves, the entry survives a crash of the machine; when it fails, the plugin goes on by the
   * old one, though what the disk kept may be either.
   *
   * @throws KeyServiceError `LedgerNotWritten`, kind `unavailable`: a key whose version can't be remembered isn't announced
   */
  async write(entry: Required<LedgerEntry>): Promise<void> {
    const folder = dirname(this.#path);
    // One name: what a crash left behind is overwritten, not piled up.
    const temporary = join(folder, `.${basename(this.#path)}.keyferry-new`);
    try {
      await rm(temporary, { force: true });
      await writeSynced(temporary, `${JSON.stringify(entry, undefined, 2)}\n`);
      await rename(temporary, this.#path);
      await syncFolder(folder);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw new KeyServiceError(
        'unavailable',
        'LedgerNotWritten',
        `the ledger ${this.#path} can't be written (${systemErrorCode(error) ?? 'unknown error'})`,
        'give its folder room, and this user the permission to write there',
      );
    }
    this.#entry = entry;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function refused(path: string, why: string): KeyferryError {
  return new KeyferryError('RefusedLedger', `the ledger ${path} can't be used: ${why.slice(0, 500)}`, {
    remedy: `put back the file as it was, or as another node has it, in a folder that this user may write; without one, the newest version is announced at once, and key ids that were left may come back`,
  });
}
