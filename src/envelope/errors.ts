/** Why a value could not be sealed or opened. Messages hold sizes and names, never content. */
export type EnvelopeErrorCode =
  /** The bytes are not of this format. */
  | 'EnvelopeMalformed'
  /** A part is outside what the API server accepts (see `limits.ts`). */
  | 'EnvelopeLimit'
  /** The key, the etcd key or the value is another than at sealing: authentication failed. */
  | 'EnvelopeNotAuthentic';

/** Thrown by everything in this room; trying again never helps. */
export class EnvelopeError extends Error {
  override readonly name = 'EnvelopeError';
  readonly code: EnvelopeErrorCode;

  constructor(code: EnvelopeErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
