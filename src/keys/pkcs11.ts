import { type Logger } from '../telemetry/logger.ts';
import { CurrentVersion } from './current-version.ts';
import { type KeyService, type KeyVersion } from './key-service.ts';
import { givenUp, Pkcs11Pool, type Pkcs11PoolOptions } from './pkcs11-pool.ts';

/**
 * A key of an HSM by PKCS#11, as a key service: an AES key by AES-GCM, or an RSA pair by OAEP. `current` makes a round trip
 * through the token, so that Status tells whether the key can be used, and looks for the key by what the configuration
 * says: who puts another key of the same label, with a higher CKA_ID, beside it rotates it.
 */
export class Pkcs11KeyService implements KeyService {
  readonly #pool: Pkcs11Pool;
  readonly #current: CurrentVersion;

  constructor(options: Pkcs11PoolOptions, log: Logger) {
    this.#pool = new Pkcs11Pool(options, log);
    this.#current = new CurrentVersion(() => this.#readCurrent(), givenUp);
  }

  /** Ids of the processes that hold sessions. */
  get pids(): readonly number[] {
    return this.#pool.pids;
  }

  async current(signal?: AbortSignal): Promise<KeyVersion> {
    this.#pool.assertOpen();
    return await this.#current.get(signal);
  }

  async encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    try {
      return await this.#bytes({ type: 'encrypt', keyId: version.keyId, bytes: plaintext }, signal);
    } catch (error) {
      this.#current.forget();
      throw error;
    }
  }

  async decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer> {
    return await this.#bytes({ type: 'decrypt', keyId, bytes: ciphertext }, signal);
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  async #bytes(
    request: { type: 'encrypt' | 'decrypt'; keyId: string; bytes: Buffer },
    signal: AbortSignal | undefined,
  ): Promise<Buffer> {
    const answer = await this.#pool.ask(request, signal);
    if (answer.type === 'bytes') return Buffer.from(answer.bytes);
    throw new Error(`a PKCS#11 process answered ${answer.type} to ${request.type}`);
  }

  async #readCurrent(): Promise<KeyVersion> {
    const answer = await this.#pool.ask({ type: 'current' });
    if (answer.type === 'current') return { keyId: answer.keyId, description: answer.description };
    throw new Error(`a PKCS#11 process answered ${answer.type} to current`);
  }
}
