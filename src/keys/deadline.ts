import { KeyServiceError } from './key-service.ts';

/**
 * Waits for work that others may be waiting for too: an abort ends this caller's wait, and not the work.
 *
 * @throws KeyServiceError kind `timeout` when the signal is aborted first
 */
export async function withinDeadline<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const stop = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const giveUp = () =>
      reject(
        new KeyServiceError(
          'timeout',
          'TimeoutKeyService',
          "the key service did not answer within the caller's deadline",
          'check that the key service answers, and how long it takes',
        ),
      );
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { signal: stop.signal });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    stop.abort();
  }
}
