import { KeyferryError } from '../errors.ts';

/** One version of one key. The key id says which; no other key, service or time ever has the same. */
export interface KeyVersion {
  readonly keyId: string;
  /** For people: which version of which key, and since when. */
  readonly description: string;
}

/**
 * Who holds the key. Encrypts and decrypts DEK seeds (tens of bytes), never objects.
 *
 * Everything fails as a {@link KeyServiceError}; no message holds plaintext or credentials. A call given up through its
 * `signal` fails with kind `timeout`; the service may have carried it out.
 */
export interface KeyService {
  /**
   * The key version that seals now; at most 60 s old, of an alias of AWS KMS in part 120 s. Costs a remote call at most once in
   * 60 s while nothing changes.
   */
  current(signal?: AbortSignal): Promise<KeyVersion>;
  /**
   * Encrypts under exactly this version, even if the key has been rotated since.
   *
   * @throws KeyServiceError kind `wrong-key` when the service no longer encrypts with this version
   */
  encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer>;
  /**
   * Decrypts what `encrypt` answered under the key version with this id.
   *
   * @throws KeyServiceError kind `wrong-key` for an id that isn't of this key, or doesn't belong to this ciphertext;
   *   `invalid` for a ciphertext that isn't one
   */
  decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer>;
  /** Stops renewals and lets go of credentials. Calls after it fail. */
  close(): Promise<void>;
}

/**
 * What went wrong, for whoever has to react:
 * `unavailable` and `timeout` pass, perhaps; `denied` and `not-found` need someone's hand; `wrong-key` and `invalid`
 * are about the input.
 */
export type KeyServiceErrorKind =
  'unavailable' | 'timeout' | 'denied' | 'not-found' | 'wrong-key' | 'invalid';

/** A key service's answer when it can't do as asked. Retryable for the kinds `unavailable` and `timeout`. */
export class KeyServiceError extends KeyferryError {
  override readonly name = 'KeyServiceError';
  readonly kind: KeyServiceErrorKind;

  constructor(kind: KeyServiceErrorKind, code: string, message: string, remedy: string) {
    super(code, message, { remedy, retryable: kind === 'unavailable' || kind === 'timeout' });
    this.kind = kind;
  }
}
