import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';
import { readLocalKey } from './local-key-file.ts';

/** A key that lies in a file on this machine. */
export interface LocalKeyOptions {
  /** The stable name of this key in key ids. No '/'. */
  readonly service: string;
  /** 32 bytes, raw or in base64; see {@link readLocalKey}. */
  readonly keyFile: string;
}

const nonceBytes = 12;
const tagBytes = 16;

/**
 * AES-256-GCM under a key from a file, for tests and for edge clusters without a key service: it is as safe as the file.
 *
 * The ciphertext is nonce (12 bytes), encrypted bytes, tag (16 bytes), with the key id as associated data. The key id is
 * `local:<service>/<fingerprint>`; the fingerprint is an HMAC under the key, which tells nothing of it. The file is read
 * for each call: a key that was taken away, or another one in its place, is noticed at once, and none stays in memory.
 */
export class LocalKeyService implements KeyService {
  readonly #options: LocalKeyOptions;
  #closed = false;

  constructor(options: LocalKeyOptions) {
    this.#options = options;
  }

  async current(signal?: AbortSignal): Promise<KeyVersion> {
    return await this.#withKey(signal, (_, keyId) => ({ keyId, description: this.#name }));
  }

  async encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    return await this.#withKey(signal, (key, keyId) => {
      this.#requireSame(version.keyId, keyId);
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(keyId));
      return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    });
  }

  async decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer> {
    return await this.#withKey(signal, (key, ownId) => {
      this.#requireSame(keyId, ownId);
      if (ciphertext.length < nonceBytes + tagBytes) throw invalid();
      const nonce = ciphertext.subarray(0, nonceBytes);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
        .setAAD(Buffer.from(ownId))
        .setAuthTag(ciphertext.subarray(-tagBytes));
      try {
        return Buffer.concat([decipher.update(ciphertext.subarray(nonceBytes, -tagBytes)), decipher.final()]);
      } catch {
        throw invalid();
      }
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  get #name(): string {
    return `the key ${this.#options.service} in ${this.#options.keyFile}`;
  }

  async #withKey<T>(signal: AbortSignal | undefined, use: (key: Buffer, keyId: string) => T): Promise<T> {
    if (this.#closed) {
      throw new KeyServiceError('unavailable', 'LocalKeyClosed', `${this.#name} is closed`, 'start it again');
    }
    const key = await readLocalKey(this.#options.keyFile, signal);
    try {
      return use(key, `local:${this.#options.service}/${fingerprint(key)}`);
    } finally {
      key.fill(0);
    }
  }

  #requireSame(keyId: string, ownId: string): void {
    if (keyId === ownId) return;
    throw new KeyServiceError(
      'wrong-key',
      'WrongKeyId',
      `the key id ${JSON.stringify(keyId.slice(0, 200))} is not that of ${this.#name}`,
      'if the file held another key before, put that one back: nothing else opens what it sealed',
    );
  }
}

function fingerprint(key: Buffer): string {
  return createHmac('sha256', key).update('keyferry local key id').digest('hex').slice(0, 32);
}

function invalid(): KeyServiceError {
  return new KeyServiceError(
    'invalid',
    'CiphertextInvalid',
    'the ciphertext does not open under its key',
    'the value was damaged, or another key service encrypted it',
  );
}
