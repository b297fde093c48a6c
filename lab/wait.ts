import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync, readFileSync } from 'node:fs';
import { KeyferryError, messageOf } from '../src/errors.ts';

export interface Wait {
  /** What is waited for, as it reads after "waited for". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  /** Its last lines are shown when the wait fails. */
  readonly log?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks until the answer is something else than undefined or false. An answer that throws counts as "not yet", and
 * is named when time is up; a KeyferryError ends the wait at once, for it knows that waiting won't help.
 */
export async function waitFor<T>(wait: Wait, ask: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + wait.timeoutMs;
  let last = 'it is not so yet';
  for (;;) {
    wait.signal?.throwIfAborted();
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      if (error instanceof KeyferryError) throw error;
      last = messageOf(error);
    }
    if (Date.now() > deadline) {
      throw new KeyferryError(
        'TimeoutLab',
        `Waited ${Math.round(wait.timeoutMs / 1000)} s for ${wait.what}: ${last}.${logTail(wait.log)}`,
        { remedy: 'Look at the log lines above; a slow machine may just need another try.', retryable: true },
      );
    }
    await sleep(wait.intervalMs ?? 100, undefined, wait.signal ? { signal: wait.signal } : {});
  }
}

/** The last lines of a log, as an indented block that ends a message. */
export function logTail(log: string | undefined, lines = 12): string {
  if (log === undefined || !existsSync(log)) return '';
  const text = readFileSync(log, 'utf8').trimEnd();
  if (text === '') return ` Its log (${log}) is empty.`;
  const tail = text
    .split('\n')
    .slice(-lines)
    .map((line) => `    ${line.length > 400 ? `${line.slice(0, 400)}…` : line}`);
  return ` The last lines of ${log}:\n${tail.join('\n')}`;
}
