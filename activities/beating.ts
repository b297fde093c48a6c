import { activityInfo, heartbeat } from '@temporalio/activity';

/** A pause reaches an activity with the answer to a beat. The worker sends no more than one a second, whatever it is given. */
const BEAT_MS = 1_000;

/**
 * Heartbeats for as long as something takes, always with the newest details: a single slow answer isn't taken for a death,
 * and a retry finds what was told last.
 *
 * @param run - is given a function that keeps new details for the next beat; `undefined` before there are any
 */
export async function beating<T>(run: (tell: (details: unknown) => void) => Promise<T>): Promise<T> {
  let newest: unknown = activityInfo().heartbeatDetails;
  const timer = setInterval(() => heartbeat(newest), BEAT_MS);
  try {
    return await run((details) => (newest = details));
  } catch (error) {
    // The next attempt begins where this one got.
    heartbeat(newest);
    throw error;
  } finally {
    clearInterval(timer);
  }
}
