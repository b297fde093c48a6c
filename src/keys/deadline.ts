import { KeyServiceError } from './key-service.ts';

/**
 * Waits for work that others may be waiting for too: an abort ends this caller's wait, and not the work.
 *
 * @param givenUp - the error of a wait that was ended: kind `timeout`
 * @throws KeyServiceError kind `timeout` when the signal is aborted first
 */
export async function withinDeadline<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  givenUp: () => KeyServiceError = keyServiceGivenUp,
): Promise<T> {
  if (signal === undefined) return await work;
  const stop = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const giveUp = () => reject(givenUp());
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { signal: stop.signal });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    stop.abort();
  }
}

function keyServiceGivenUp(): KeyServiceError {
  return new KeyServiceError(
    'timeout',
    'TimeoutKeyService',
    "the key service did not answer within the caller's deadline",
    'check that the key service answers, and how long it takes',
  );
}
