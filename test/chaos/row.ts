import { ControlPlane } from '../support/control-plane.ts';
import { drive, type Blows, type Drive, type Say } from './drive.ts';
import { type Blow } from './faults.ts';
import { type Goal } from './drive.ts';
import { type Phase } from './phases.ts';

/** A fault of one process in every phase: one migration back and one forward, or fewer where phases were chosen. */
export interface Row extends Blow {
  /** ISO time of the end. */
  readonly at: string;
  readonly drives: readonly Drive[];
}

/** Labs that are up, to be taken down when the run is broken off. */
export const labs = new Set<ControlPlane>();

/** Takes labs down that are just being put up. */
export const stopping = new AbortController();

export async function withLab<T>(
  { workers }: { workers: number },
  use: (plane: ControlPlane) => Promise<T>,
): Promise<T> {
  const plane = await ControlPlane.up({
    sourcePlugins: true,
    workers,
    signal: stopping.signal,
    seed: { secrets: 260, configMaps: 40 },
  });
  labs.add(plane);
  try {
    return await use(plane);
  } finally {
    labs.delete(plane);
    await plane.down();
  }
}

export async function runRow(blow: Blow, phases: readonly Phase[], say: Say): Promise<Row> {
  // One worker that is killed is missed until it is back; one that is stopped is stood in for, and comes back from the dead.
  const workers = blow.process === 'worker' && blow.fault === 'stop' ? 2 : 1;
  const goals: [Goal, Blows][] = [
    ['rolled-back', blows(blow, phases, (phase) => phase === 'rolling-back')],
    ['completed', blows(blow, phases, (phase) => phase !== 'rolling-back')],
  ];
  const due = goals.filter(([, given]) => Object.keys(given).length > 0);
  const drives: Drive[] = [];
  while (due.length > 0) {
    await withLab({ workers }, async (plane) => {
      // A lab that a migration left in disorder is not used again.
      for (let next = due.shift(); next !== undefined; next = due.shift()) {
        const driven = await drive(plane, ...next, say);
        drives.push(driven);
        if (driven.wrong.length > 0) return;
      }
    });
  }
  return { ...blow, at: new Date().toISOString(), drives };
}

function blows(blow: Blow, phases: readonly Phase[], which: (phase: Phase) => boolean): Blows {
  return Object.fromEntries(phases.filter(which).map((phase) => [phase, blow]));
}
