import { type Logger } from '../telemetry/logger.ts';
import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';
import { withinDeadline } from './deadline.ts';
import { givenUp, Pkcs11Pool, type Pkcs11PoolOptions } from './pkcs11-pool.ts';

/** A little under the minute at which API servers ask for Status: see vault-transit.ts. */
const cacheMs = 59_000;

/**
 * A key of an HSM by PKCS#11, as a key service: an AES key by AES-GCM, or an RSA pair by OAEP. `current` makes a round trip
 * through the token, so that Status tells whether the key can be used, and looks for the key by what the configuration
 * says: who gives the label to another key rotates it, and what the one before sealed still opens.
 */
export class Pkcs11KeyService implements KeyService {
  readonly #pool: Pkcs11Pool;
  #cached: { readonly version: KeyVersion; readonly until: number } | undefined;
  #reading: Promise<KeyVersion> | undefined;
  #keyId: string | undefined;
  readonly #left = new Set<string>();

  constructor(options: Pkcs11PoolOptions, log: Logger) {
    this.#pool = new Pkcs11Pool(options, log);
  }

  /** Process ids of the sessions. */
  get pids(): readonly number[] {
    return this.#pool.pids;
  }

  async current(signal?: AbortSignal): Promise<KeyVersion> {
    this.#pool.assertOpen();
    if (this.#cached !== undefined && Date.now() < this.#cached.until) return this.#cached.version;
    this.#reading ??= this.#readCurrent().finally(() => (this.#reading = undefined));
    return await withinDeadline(this.#reading, signal, givenUp);
  }

  async encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    try {
      return await this.#bytes({ type: 'encrypt', keyId: version.keyId, bytes: plaintext }, signal);
    } catch (error) {
      this.#cached = undefined;
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
    if (answer.type !== 'bytes')
      throw new Error(`a PKCS#11 process answered ${answer.type} to ${request.type}`);
    return Buffer.from(answer.bytes);
  }

  async #readCurrent(): Promise<KeyVersion> {
    const asked = Date.now();
    const answer = await this.#pool.ask({ type: 'current' });
    if (answer.type !== 'current') throw new Error(`a PKCS#11 process answered ${answer.type} to current`);
    const { keyId, description } = answer;
    if (this.#left.has(keyId)) throw wentBack(description);
    if (this.#keyId !== undefined && this.#keyId !== keyId) this.#left.add(this.#keyId);
    this.#keyId = keyId;
    const version = { keyId, description };
    this.#cached = { version, until: asked + cacheMs };
    return version;
  }
}

/** A key id that was left may never come back: what API servers have sealed since would count as current again. */
function wentBack(description: string): KeyServiceError {
  return new KeyServiceError(
    'denied',
    'Pkcs11KeyWentBack',
    `the configuration means the ${description} again, which was left for another before`,
    'make a new key, and give that one the label',
  );
}
