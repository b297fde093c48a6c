import type { Check } from '../plan/preflight.ts';
import { clipped } from '../plan/words.ts';

/** What one check found. */
export type Finding = Omit<Check, 'name'>;

/** A call that failed. */
export function failed(call: string, { message, remedy }: { message: string; remedy: string }): Finding {
  return { ...fail(`${call} fails: ${line(message)}`, remedy), passing: true };
}

export function pass(detail: string): Finding {
  return { outcome: 'pass', detail };
}

export function warn(detail: string, remedy: string): Finding {
  return { outcome: 'warn', detail, remedy };
}

export function fail(detail: string, remedy: string): Finding {
  return { outcome: 'fail', detail, remedy };
}

/** "once", "3 times". */
export function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

/** What a plugin says is anybody's text: on one line, and bounded. */
export function line(text: string): string {
  // eslint-disable-next-line no-control-regex
  return clipped(text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim());
}

/** The same, in quotation marks. */
export function told(text: string): string {
  return JSON.stringify(line(text));
}
