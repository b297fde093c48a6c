import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import {
  KeyServiceError,
  type KeyService,
  type KeyServiceErrorKind,
  type KeyVersion,
} from './key-service.ts';

/**
 * A key service for tests: its keys are in this process and die with it. Can be rotated, made to fail, and made slow.
 */
export class InMemoryTestDoubleKeyService implements KeyService {
  /** Remote calls a real service would have made. */
  readonly calls = { current: 0, encrypt: 0, decrypt: 0 };
  closed = false;
  readonly #name: string;
  readonly #keys = new Map<string, Buffer>();
  readonly #retired = new Set<string>();
  #failure: KeyServiceError | undefined;
  #hold: Promise<void> | undefined;
  #version = 0;

  /** @param name - in its key ids: two with one name share them, and not their keys */
  constructor(name = 'in-memory-test-double') {
    this.#name = name;
    this.rotate();
  }

  /** Makes a new version the current one. */
  rotate(): void {
    this.#version += 1;
    this.#keys.set(this.#keyId(), randomBytes(32));
  }

  /** The version with this id encrypts no more, and goes on decrypting. */
  retire(keyId: string): void {
    this.#retired.add(keyId);
  }

  /** The version with this id is no more. */
  lose(keyId: string): void {
    this.#keys.delete(keyId);
  }

  /** From now on every call fails with this, until called with nothing. */
  failWith(kind?: KeyServiceErrorKind, message = 'the test made it fail'): void {
    this.#failure =
      kind === undefined ? undefined : new KeyServiceError(kind, 'TestFailure', message, 'end the test');
  }

  /** From now on calls wait until the returned function is called, or their signal is aborted. */
  hold(): () => void {
    let release = (): void => undefined;
    this.#hold = new Promise((resolve) => (release = resolve));
    return () => {
      this.#hold = undefined;
      release();
    };
  }

  async current(signal?: AbortSignal): Promise<KeyVersion> {
    this.calls.current += 1;
    await this.#ready(signal);
    return { keyId: this.#keyId(), description: `version ${this.#version} of a key in memory` };
  }

  async encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    this.calls.encrypt += 1;
    await this.#ready(signal);
    if (this.#retired.has(version.keyId)) {
      throw new KeyServiceError('wrong-key', 'TestRetired', 'the version encrypts no more', 'take another');
    }
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key(version.keyId), nonce);
    return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  async decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer> {
    this.calls.decrypt += 1;
    await this.#ready(signal);
    const key = this.#key(keyId);
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, ciphertext.subarray(0, 12), {
        authTagLength: 16,
      });
      decipher.setAuthTag(ciphertext.subarray(-16));
      return Buffer.concat([decipher.update(ciphertext.subarray(12, -16)), decipher.final()]);
    } catch {
      throw new KeyServiceError('invalid', 'CiphertextInvalid', 'no ciphertext of this key', 'give another');
    }
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  #keyId(): string {
    return `${this.#name}/v${this.#version}`;
  }

  #key(keyId: string): Buffer {
    const key = this.#keys.get(keyId);
    if (key !== undefined) return key;
    throw new KeyServiceError('wrong-key', 'WrongKeyId', 'a key id of another key service', 'give another');
  }

  async #ready(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) throw givenUp();
    if (this.closed) throw new KeyServiceError('unavailable', 'TestClosed', 'it is closed', 'make another');
    if (this.#hold !== undefined) {
      const aborted = new Promise<never>((_, reject) => {
        signal?.addEventListener('abort', () => reject(givenUp()));
      });
      await Promise.race([this.#hold, aborted]);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function givenUp(): KeyServiceError {
  return new KeyServiceError('timeout', 'TestTimeout', 'given up while waiting', 'wait longer');
}
