/** Why a value could not be sealed or opened. Messages hold sizes and names, never content. */
export type EnvelopeErrorCode =
  /** The bytes are not of this format. */
  | 'EnvelopeMalformed'
  /** A part is outside what the API server accepts (see `limits.ts`). */
  | 'EnvelopeLimit'
  /** The key, the etcd key or the value is another than at sealing: authentication failed. */
  | 'EnvelopeNotAuthentic'
  /** The configuration has no provider and key with this value's prefix. */
  | 'EnvelopeNoProvider'
  /** Several providers have this value's prefix, and none opens it; `cause` has the error of each. */
  | 'EnvelopeNoneOpens'
  /** What should be written is in a format that can only be read. */
  | 'EnvelopeReadOnly';

/** Thrown by everything in this room; trying again never helps. */
export class EnvelopeError extends Error {
  override readonly name = 'EnvelopeError';
  readonly code: EnvelopeErrorCode;

  constructor(code: EnvelopeErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}
