import { KeyServiceError, type KeyService, type KeyVersion } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import { kmsV2Protocol } from './service.ts';

/** What Status answers about a key. */
export interface KeyHealth {
  /** "ok", or why the key service fails; never a secret. */
  readonly healthz: string;
  /** The adopted key id, kept while the service fails; empty when none was ever seen. */
  readonly keyId: string;
}

/** How long a failure stands before the service is asked again. */
const failureMs = 5_000;

/**
 * The key version that Encrypt uses and Status names: one and the same, changed here and nowhere else.
 *
 * A newer version is adopted when Status is asked (the service itself asks remotely once in 60 s at most), as a single
 * assignment: an Encrypt under way keeps the version it began with, and answers with that one's key id.
 */
export class KeyState {
  readonly #service: KeyService;
  readonly #log: Logger;
  #adopted: KeyVersion | undefined;
  #failure: { readonly error: KeyServiceError; readonly until: number } | undefined;

  constructor(service: KeyService, log: Logger) {
    this.#service = service;
    this.#log = log;
  }

  /** The version to encrypt with. @throws KeyServiceError when none was ever seen and the service fails */
  async version(signal: AbortSignal): Promise<KeyVersion> {
    if (this.#adopted !== undefined) return this.#adopted;
    await this.#refresh(signal);
    // Set by the refresh, which the compiler doesn't see.
    const adopted = this.#adopted as KeyVersion | undefined;
    if (adopted !== undefined) return adopted;
    throw this.#failure?.error ?? new KeyServiceError('unavailable', 'KeyUnknown', 'no key yet', 'try again');
  }

  /** Asks the service, unless it failed a moment ago, and adopts what it says. */
  async health(signal: AbortSignal): Promise<KeyHealth> {
    await this.#refresh(signal);
    const failure = this.#failure?.error;
    return {
      healthz:
        failure === undefined
          ? kmsV2Protocol.healthy
          : `${failure.message} (${failure.remedy})`.slice(0, 900),
      keyId: this.#adopted?.keyId ?? '',
    };
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    if (this.#failure !== undefined && Date.now() < this.#failure.until) return;
    try {
      this.#adopt(await this.#service.current(signal));
    } catch (error) {
      if (!(error instanceof KeyServiceError)) throw error;
      if (this.#failure?.error.message !== error.message) {
        this.#log.warn(
          { code: error.code, reason: error.message, remedy: error.remedy },
          'the key service fails',
        );
      }
      this.#failure = { error, until: Date.now() + failureMs };
    }
  }

  #adopt(version: KeyVersion): void {
    const previous = this.#adopted?.keyId;
    this.#adopted = version;
    if (this.#failure !== undefined)
      this.#log.info({ keyId: version.keyId }, 'the key service answers again');
    this.#failure = undefined;
    if (previous !== version.keyId) {
      this.#log.info(
        { keyId: version.keyId, previousKeyId: previous, version: version.description },
        'adopted a key version',
      );
    }
  }
}
