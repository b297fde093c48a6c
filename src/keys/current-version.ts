import { withinDeadline } from './deadline.ts';
import { type KeyServiceError, type KeyVersion } from './key-service.ts';

/**
 * A little under the minute at which API servers ask for Status: a cache of a full minute would still be good at every
 * second poll, and a rotated key be noticed after two.
 */
const keptMs = 59_000;

/** The key version that seals now, asked for remotely once in {@link keptMs} at most, and once for all who wait for it. */
export class CurrentVersion {
  readonly #read: () => Promise<KeyVersion>;
  readonly #givenUp: () => KeyServiceError;
  #kept: { readonly version: KeyVersion; readonly until: number } | undefined;
  #reading: Promise<KeyVersion> | undefined;

  /**
   * @param read - asks the service; without anyone's signal, for others wait for the same answer
   * @param givenUp - the error of a caller whose signal is aborted
   */
  constructor(read: () => Promise<KeyVersion>, givenUp: () => KeyServiceError) {
    this.#read = read;
    this.#givenUp = givenUp;
  }

  async get(signal: AbortSignal | undefined): Promise<KeyVersion> {
    const kept = this.#kept;
    if (kept !== undefined && Date.now() < kept.until) return kept.version;
    return await withinDeadline((this.#reading ??= this.#ask()), signal, this.#givenUp);
  }

  /** The next caller asks the service. */
  forget(): void {
    this.#kept = undefined;
  }

  async #ask(): Promise<KeyVersion> {
    const asked = Date.now();
    try {
      const version = await this.#read();
      this.#kept = { version, until: asked + keptMs };
      return version;
    } finally {
      this.#reading = undefined;
    }
  }
}
