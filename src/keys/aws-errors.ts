import { systemErrorCode } from './system-error.ts';

/**
 * What an error of the AWS SDK says, and nothing that it carries besides: its message and fields may hold the request,
 * plaintext and credentials included.
 */
export type AwsFailure =
  /** AWS answered no. `name` is AWS's own (`AccessDeniedException`); `because` its reason in a few known words, or empty. */
  | { readonly type: 'refused'; readonly name: string; readonly because: string }
  /** No answer, or one of trouble on AWS's side that may pass. */
  | { readonly type: 'unreachable'; readonly reason: string }
  /** The caller's signal was aborted. */
  | { readonly type: 'aborted' }
  /** Something else, on this side: a file that isn't there, an answer that isn't AWS's. */
  | { readonly type: 'other'; readonly name: string };

/** Passing troubles that AWS answers with a status below 500. */
const passing = new Set([
  'ThrottlingException',
  'Throttling',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'LimitExceededException',
  'DependencyTimeoutException',
  'KMSInternalException',
  'KeyUnavailableException',
  'RequestTimeout',
  'RequestTimeoutException',
  'IDPCommunicationError',
]);

/** Reads an error of the AWS SDK. */
export function awsFailure(error: unknown): AwsFailure {
  const name = nameOf(error);
  if (name === 'AbortError') return { type: 'aborted' };
  const status = statusOf(error);
  if (isServiceException(error)) {
    return passing.has(name) || (status ?? 0) >= 500
      ? { type: 'unreachable', reason: `AWS answered ${name}` }
      : { type: 'refused', name, because: because(error) };
  }
  if (name === 'TimeoutError') return { type: 'unreachable', reason: 'AWS did not answer in time' };
  const code = systemErrorCode(error);
  if (
    code !== undefined &&
    /^(E[A-Z]+|HPE_\w+|UND_\w+|ERR_SSL_\w+|ERR_TLS_\w+)$/.test(code) &&
    code !== 'ENOENT'
  ) {
    return { type: 'unreachable', reason: `the connection failed (${code})` };
  }
  return { type: 'other', name };
}

/** An answer of AWS's that was parsed, which has a fault on one side; what failed to parse has none. */
function isServiceException(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    '$fault' in error &&
    (error.$fault === 'client' || error.$fault === 'server')
  );
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const metadata = error.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

function nameOf(error: unknown): string {
  const name = typeof error === 'object' && error !== null && 'name' in error ? error.name : undefined;
  return typeof name === 'string' && /^[A-Za-z][A-Za-z0-9]{0,60}$/.test(name) ? name : 'Unknown';
}

/** Which policy denies it: the one part of AWS's messages that can't be known otherwise. */
function because(error: unknown): string {
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : '';
  const known =
    /because no [a-z -]{1,40} policy allows|with an explicit deny in an? [a-z -]{1,40} policy|because the role can't be assumed/;
  const found = typeof message === 'string' ? known.exec(message)?.[0] : undefined;
  return found === undefined ? '' : `, ${found}`;
}
