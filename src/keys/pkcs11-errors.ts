import { KeyServiceError, type KeyServiceErrorKind } from './key-service.ts';
import type { Pkcs11Failure } from './pkcs11-messages.ts';

/** A {@link KeyServiceError} of a token. */
export class Pkcs11TokenError extends KeyServiceError {
  /** The session is of no use any more: a new process may do what this one couldn't. */
  readonly sessionLost: boolean;

  constructor(
    kind: KeyServiceErrorKind,
    code: string,
    message: string,
    remedy: string,
    sessionLost: boolean = false,
  ) {
    super(kind, code, message, remedy);
    this.sessionLost = sessionLost;
  }

  toFailure(): Pkcs11Failure {
    const { kind, code, message, remedy, sessionLost } = this;
    return { kind, code, message, remedy, sessionLost };
  }
}

/** The name of the return value (`CKR_…`) that a call of pkcs11js failed with. */
export function returnValueOf(error: unknown): string {
  const text = error instanceof Error ? error.message : '';
  return /^CKR_[A-Z0-9_]+$/.exec(text)?.[0] ?? 'an error without a return value';
}

const ciphertextRefusals: ReadonlySet<string> = new Set([
  'CKR_ENCRYPTED_DATA_INVALID',
  'CKR_ENCRYPTED_DATA_LEN_RANGE',
  'CKR_DATA_INVALID',
  'CKR_DATA_LEN_RANGE',
  'CKR_SIGNATURE_INVALID',
]);

/** Whether a token says that the ciphertext is at fault. Others answer so with CKR_GENERAL_ERROR, which may mean anything. */
export function blamesCiphertext(error: unknown): boolean {
  return ciphertextRefusals.has(returnValueOf(error));
}

const pinMended =
  'correct the PIN at its reference; where the PIN of the token was changed instead, restart the plugin';
const refusals: Readonly<Record<string, readonly [code: string, what: string, remedy: string]>> = {
  CKR_PIN_INCORRECT: ['Pkcs11PinIncorrect', 'the token refused the PIN', pinMended],
  CKR_PIN_INVALID: ['Pkcs11PinIncorrect', 'the PIN has characters that the token does not take', pinMended],
  CKR_PIN_LEN_RANGE: ['Pkcs11PinIncorrect', "the PIN's length is not one the token takes", pinMended],
  CKR_PIN_LOCKED: [
    'Pkcs11PinLocked',
    'the token locked its user PIN after too many wrong ones',
    'have the security officer set a new user PIN, and put it at its reference',
  ],
  CKR_PIN_EXPIRED: ['Pkcs11PinExpired', "the token's user PIN has expired", 'set a new user PIN'],
  CKR_USER_PIN_NOT_INITIALIZED: [
    'Pkcs11PinNotSet',
    'the token has no user PIN yet',
    'have the security officer set one (C_InitPIN)',
  ],
  CKR_KEY_FUNCTION_NOT_PERMITTED: [
    'Pkcs11KeyUnfit',
    'the token does not let this key encrypt and decrypt',
    'use a key with CKA_ENCRYPT and CKA_DECRYPT',
  ],
  CKR_KEY_SIZE_RANGE: ['Pkcs11KeyUnfit', "the key's size does not fit the mechanism", 'use another key'],
  CKR_KEY_TYPE_INCONSISTENT: [
    'Pkcs11KeyUnfit',
    "the key's type does not fit the mechanism",
    'use another key',
  ],
};

const mechanismRefusals: ReadonlySet<string> = new Set([
  'CKR_MECHANISM_INVALID',
  'CKR_MECHANISM_PARAM_INVALID',
  'CKR_FUNCTION_NOT_SUPPORTED',
  // SoftHSM's answer to OAEP with any hash but SHA-1.
  'CKR_ARGUMENTS_BAD',
]);

/**
 * What a failed call of pkcs11js means. What isn't known as a lasting refusal counts as a session that was lost: that
 * costs a new process, and a token that was away is met again.
 *
 * @param doing - as in "the token can't <doing>"
 */
export function explainPkcs11(error: unknown, doing: string): Pkcs11TokenError {
  if (error instanceof Pkcs11TokenError) return error;
  const value = returnValueOf(error);
  const known = refusals[value];
  if (known !== undefined) {
    const [code, what, remedy] = known;
    return new Pkcs11TokenError('denied', code, `${what} (${value})`, remedy);
  }
  if (mechanismRefusals.has(value)) {
    return new Pkcs11TokenError(
      'denied',
      'Pkcs11MechanismRefused',
      `the token can't ${doing}: ${value}`,
      'choose a mechanism that the token has: some have OAEP with SHA-1 only (RSA-OAEP-SHA1), some choose the IVs of AES-GCM themselves (ivFrom: Token)',
    );
  }
  return new Pkcs11TokenError(
    'unavailable',
    'UnavailablePkcs11Token',
    `the token can't ${doing}: ${value}`,
    'check that the HSM can be reached, and that its client is set up for this user',
    true,
  );
}
