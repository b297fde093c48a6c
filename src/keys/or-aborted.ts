/**
 * The outcome of work that others may wait for as well, or the given error as soon as this caller's signal is aborted. The
 * work goes on.
 */
export async function orAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  givenUp: () => Error,
): Promise<T> {
  if (signal === undefined) return await work;
  const stop = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const giveUp = (): void => reject(givenUp());
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { signal: stop.signal });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    stop.abort();
  }
}
