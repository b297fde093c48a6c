import { KeyServiceError, type KeyVersion } from '../keys/key-service.ts';

/** Which version of its key a plugin announces, given the newest one; and what it has to remember for that. */
export interface AnnouncedVersions {
  /**
   * The version to announce now.
   *
   * @throws KeyServiceError `KeyIdCameBack`
   */
  wanted(newest: KeyVersion): KeyVersion;
  /** The key service no longer encrypts under the version with this id: `wanted` may be another one the next time. */
  gone(keyId: string): void;
  /**
   * Remembers that this version is announced from now on, and that the one before was left. Called before anyone is told.
   *
   * @throws KeyServiceError when it can't; then nothing has changed
   */
  record(version: KeyVersion): Promise<void>;
}

/** Announces the newest version, whenever there is one. */
export class NewestVersion implements AnnouncedVersions {
  #announced: string | undefined;
  readonly #left = new Set<string>();

  wanted(newest: KeyVersion): KeyVersion {
    if (!this.#left.has(newest.keyId)) return newest;
    throw cameBack(
      newest.keyId,
      "raise the key's generation by one, to the same number on every node, so that it gets a key id of its own",
    );
  }

  gone(): void {
    // The next answer of the key service names another one.
  }

  record({ keyId }: KeyVersion): Promise<void> {
    if (this.#announced !== undefined && this.#announced !== keyId) this.#left.add(this.#announced);
    this.#announced = keyId;
    return Promise.resolve();
  }
}

/** The API server would take what was sealed before it left for current, and never rewrite it. */
export function cameBack(keyId: string, remedy: string): KeyServiceError {
  return new KeyServiceError(
    'denied',
    'KeyIdCameBack',
    `the key id ${keyId} is named again after another one took its place`,
    remedy,
  );
}
