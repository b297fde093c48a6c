import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { KeyServiceError } from './key-service.ts';
import { systemErrorCode } from './system-error.ts';

/** Where a token's user PIN is: never the PIN itself. */
export type PinReference =
  | { readonly type: 'file'; readonly file: string }
  /** The name of an environment variable. */
  | { readonly type: 'env'; readonly name: string };

/**
 * Reads a PIN anew for each login, and gives out none that the token has refused: a few wrong ones lock a token for good.
 * What was refused is kept as a hash.
 */
export class PinSource {
  readonly #reference: PinReference;
  #refused: { readonly hash: string; readonly error: KeyServiceError } | undefined;

  constructor(reference: PinReference) {
    this.#reference = reference;
  }

  /** @throws KeyServiceError `Pkcs11PinMissing`; the refusal, while the reference still has the PIN that was refused */
  async read(): Promise<string> {
    const pin = await this.#content();
    if (this.#refused?.hash === hashOf(pin)) throw this.#refused.error;
    return pin;
  }

  /** @param error - is given as the answer until the reference has another PIN */
  refuse(pin: string, error: KeyServiceError): void {
    this.#refused = { hash: hashOf(pin), error };
  }

  async #content(): Promise<string> {
    const reference = this.#reference;
    if (reference.type === 'env') {
      const pin = process.env[reference.name] ?? '';
      if (pin !== '') return pin;
      throw missing(`the environment variable ${reference.name} is not set, or empty`);
    }
    const { file } = reference;
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      throw missing(`${file} can't be read (${systemErrorCode(error) ?? 'unreadable'})`);
    });
    // Editors end a file with a line break; a PIN may have spaces.
    const pin = text.replace(/\r?\n$/, '');
    if (pin !== '') return pin;
    throw missing(`${file} is empty`);
  }
}

function hashOf(pin: string): string {
  return createHash('sha256').update(pin).digest('hex');
}

function missing(why: string): KeyServiceError {
  return new KeyServiceError(
    'denied',
    'Pkcs11PinMissing',
    `there is no PIN for the token: ${why}`,
    'put the PIN of the user there, readable for this user only',
  );
}
