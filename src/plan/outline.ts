import type { ARRANGEMENTS } from './arrangement.ts';
import { decide, unheld, type Observed, type Phase } from './transition.ts';

/** The phases of a migration and where it stands: the answer of the `plan` query. */
export interface PlanView {
  phases: { phase: Phase; does: string; state: 'done' | 'now' | 'to come' }[];
  /** The next step and why. */
  next: string;
}

const FORWARD: readonly { phase: Phase; does: string }[] = [
  { phase: 'preflight', does: 'named checks; nothing is changed' },
  { phase: 'stage', does: 'the target becomes a reader on every API server, proven by canaries' },
  { phase: 'promote', does: 'the target writes and the source is read, on every API server' },
  { phase: 'rewrite', does: 'every object in another format is written anew' },
  { phase: 'verify', does: 'a census of etcd, and reads through every API server' },
  { phase: 'soak', does: 'waits for approval of the cutover' },
  {
    phase: 'cutover',
    does: 'the source leaves the configuration; another census; waits for approval of the cleanup',
  },
  { phase: 'cleanup', does: 'kept files and canaries go: the point of no return' },
];

const BACK: readonly { phase: Phase; does: string }[] = [
  {
    phase: 'rolling-back',
    does: 'the source writes again, every object returns to it, and the target leaves',
  },
];

export function outline(seen: Observed): PlanView {
  const step = decide(unheld(seen));
  const phases = seen.goal === 'target' ? FORWARD : BACK;
  const at = phases.findIndex((one) => one.phase === step.phase);
  return {
    phases: phases.map((one, i) => ({
      ...one,
      state: at === -1 || i < at ? 'done' : i === at ? 'now' : 'to come',
    })),
    next: `${step.kind}: ${step.reason}`,
  };
}

/** The arrangements of a migration, each with the phase that brings the file there. */
export const PHASE_OF_ARRANGEMENT: Readonly<Record<(typeof ARRANGEMENTS)[number], string>> = {
  'source-only': 'before, and after a rollback',
  'target-reads': 'stage',
  'target-writes': 'promote',
  'target-only': 'cutover',
};
