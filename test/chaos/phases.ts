import { type Progress } from '../../src/plan/progress.ts';
import { type TimelineEntry } from '../../workflows/types.ts';

export const FORWARD = [
  'preflight',
  'stage',
  'promote',
  'rewrite',
  'verify',
  'soak',
  'cutover',
  'cleanup',
] as const;
export const PHASES = [...FORWARD, 'rolling-back'] as const;
/** The phases in which faults are given. */
export type Phase = (typeof PHASES)[number];

const ORDER: readonly string[] = [...FORWARD, 'completed'];

type Fits = (seen: Progress) => boolean;

/** Whether a migration has left a phase behind. */
export function isPast({ phase, state }: Progress, than: Phase): boolean {
  return state === 'finished' || ORDER.indexOf(phase) > ORDER.indexOf(than);
}

export const isIn =
  (phase: Phase): Fits =>
  (seen) =>
    seen.phase === phase;

/** At the gate that a phase ends with. */
export const isWaitingIn =
  (phase: Phase): Fits =>
  (seen) =>
    seen.phase === phase && seen.state === 'waiting';

/** @param part - of the objects of the pass that are done at least */
export const isAmidRewriting =
  (phase: Phase, part: number): Fits =>
  (seen) =>
    seen.phase === phase && seen.rewrite.done > part * seen.rewrite.of;

/** The phases that a migration was in between two times (ms since the epoch), by its timeline. */
export function phasesBetween(timeline: readonly TimelineEntry[], from: number, to: number): string[] {
  const entered = timeline.flatMap(({ at, what }) => {
    if (what === 'started') return [{ at, phase: 'preflight' }];
    return what.startsWith('phase ') ? [{ at, phase: what.slice('phase '.length) }] : [];
  });
  return entered
    .filter(({ at }, i) => at < to && (entered[i + 1]?.at ?? Infinity) > from)
    .map(({ phase }) => phase);
}
