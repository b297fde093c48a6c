import { MAX_REFUSALS, type ChunkCounts } from '../plan/counts.ts';
import { KeyferryError } from '../errors.ts';
import type { Refusal } from './engine.ts';

/** What engines have in common: how a chunk is guarded, counted and ended. */

const GUARD_MS = 1_000;

export type ObjectResult =
  | { kind: 'rewritten' | 'current' | 'gone' | 'waived' }
  /** An object's own trouble: it can't be rewritten for good. */
  | { kind: 'refused'; refusal: Refusal };

/**
 * A process that was stopped for a while asks before it goes on, whatever it was in the midst of. Those that ask at the same time share
 * an answer.
 */
export function everySecond(guard: () => Promise<void>): () => Promise<void> {
  let checkedAt = 0;
  let asking: Promise<void> | undefined;
  const ask = async () => {
    // An answer may be as old as the question.
    const askedAt = Date.now();
    await guard();
    checkedAt = askedAt;
  };
  return async () => {
    if (Date.now() - checkedAt < GUARD_MS) return;
    asking ??= ask().finally(() => (asking = undefined));
    await asking;
  };
}

export function count(result: ObjectResult, counts: ChunkCounts, refusals: Refusal[]): void {
  if (result.kind === 'waived') return;
  counts.examined += 1;
  counts[result.kind] += 1;
  if (result.kind === 'refused' && refusals.length < MAX_REFUSALS) refusals.push(result.refusal);
}

/** Why a chunk ends early; what can't succeed by itself is thrown on. */
export function reasonToStall(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'asked to stop';
  if (error instanceof KeyferryError && error.retryable) return error.message;
  throw error;
}

export function jittered(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}
