import { activityInfo, heartbeat } from '@temporalio/activity';

const BEAT_MS = 2_000;

/**
 * Heartbeats for as long as something takes, always with the newest details: a single slow answer isn't taken for a death,
 * and a retry finds what was told last.
 *
 * @param run - is given a function that tells new details; `undefined` before there are any
 */
export async function beating<T>(run: (tell: (details: unknown) => void) => Promise<T>): Promise<T> {
  let newest: unknown = activityInfo().heartbeatDetails;
  const timer = setInterval(() => heartbeat(newest), BEAT_MS);
  try {
    return await run((details) => {
      newest = details;
      heartbeat(details);
    });
  } finally {
    clearInterval(timer);
  }
}
