import { asyncLocalStorage, Context } from '@temporalio/activity';

/**
 * Runs what an activity does, without Temporal.
 *
 * @param options - `heartbeatDetails`: what the attempt before it told last; `onHeartbeat`: is given what this one tells
 */
export async function asActivity<T>(
  run: () => Promise<T>,
  options: { heartbeatDetails?: unknown; onHeartbeat?: (details: unknown) => void } = {},
): Promise<T> {
  const { heartbeatDetails, onHeartbeat = () => undefined } = options;
  const context = new Context(
    { heartbeatDetails } as unknown as Context['info'],
    new Promise<never>(() => undefined),
    new AbortController().signal,
    onHeartbeat,
    undefined,
    undefined as never,
    undefined as never,
    {},
  );
  return await asyncLocalStorage.run(context, run);
}
