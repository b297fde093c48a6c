/** A daily stretch of time in which rewriting may go on; one that ends before it begins goes over midnight. */
export interface ScheduleWindow {
  /** `22:00`, inclusive. */
  from: string;
  /** `06:00`, exclusive. */
  to: string;
  /** A name of the IANA time zone database: `Europe/Berlin`. */
  timeZone: string;
}

/**
 * Whether any window is open.
 *
 * @param now - milliseconds since the epoch
 */
export function isOpen(schedule: readonly ScheduleWindow[], now: number): boolean {
  return schedule.some(({ from, to, timeZone }) => {
    const time = timeOfDay(now, timeZone);
    return from < to ? from <= time && time < to : from <= time || time < to;
  });
}

/** `22:00–06:00 Europe/Berlin or 12:00–13:00 UTC` */
export function scheduleText(schedule: readonly ScheduleWindow[]): string {
  return schedule.map(({ from, to, timeZone }) => `${from}–${to} ${timeZone}`).join(' or ');
}

/** What clocks there show, `14:05`; summer time is the zone's own matter. */
function timeOfDay(now: number, timeZone: string): string {
  return new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(now);
}
