/**
 * An error that keyferry can explain: what happened, and what to do about it.
 *
 * `retryable` says whether trying the same thing again can help without anyone's hand. Activities turn it into
 * Temporal's non-retryable failures; the CLI prints message and remedy.
 */
export class KeyferryError extends Error {
  override readonly name: string = 'KeyferryError';
  readonly code: string;
  readonly remedy: string;
  readonly retryable: boolean;

  constructor(
    code: string,
    message: string,
    options: { remedy: string; retryable?: boolean; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.retryable = options.retryable ?? false;
  }
}

/** The message of anything thrown, without its stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
