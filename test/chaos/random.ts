import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab } from '../../lab/lab.ts';
import { drive, type Drive, type Say } from './drive.ts';
import { FAULTS, instances, PROCESSES, strike, type Fault } from './faults.ts';
import { type Goal } from './drive.ts';
import { withLab } from './row.ts';

/** A fault of a schedule; times in ms. */
export interface Scheduled {
  readonly hit: string;
  readonly fault: Fault;
  /** From the migration's start on. */
  readonly after: number;
  readonly away: number;
}

export interface RandomRun {
  readonly seed: number;
  readonly at: string;
  readonly drives: readonly (Drive & { readonly schedule: readonly Scheduled[] })[];
}

const BLOWS = 12;
/** About as long as a migration takes without faults. */
const WITHIN_MS = 100_000;
const LONGEST_MS = 20_000;
/** What a process takes to be back, at most by far: one isn't hit again before. */
const BACK_MS = 30_000;
const WORKERS = 2;

/** Faults at random times, several at once, but never two of one process. The same seed gives the same schedule. */
export function schedule(seed: number, nodes: readonly string[]): Scheduled[] {
  const random = generator(seed);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const chosen: Scheduled[] = [];
  while (chosen.length < BLOWS) {
    const next = {
      hit: pick(instances(pick(PROCESSES), { nodes, workers: WORKERS })),
      fault: pick(FAULTS),
      after: Math.round(random() * WITHIN_MS),
      away: Math.round(1_000 + random() * LONGEST_MS),
    };
    const clashes = chosen.some(
      ({ hit, after }) => hit === next.hit && Math.abs(after - next.after) < LONGEST_MS + BACK_MS,
    );
    if (!clashes) chosen.push(next);
  }
  return chosen.sort((a, b) => a.after - b.after);
}

/** One migration that is completed, and before it one that is rolled back, each under a schedule of its own. */
export async function runRandom(seed: number, say: Say): Promise<RandomRun> {
  const goals: readonly Goal[] = ['rolled-back', 'completed'];
  const drives: RandomRun['drives'][number][] = [];
  for (const [i, goal] of goals.entries()) {
    await withLab({ workers: WORKERS }, async (plane) => {
      const planned = schedule(seed * goals.length + i, plane.lab.nodes);
      const driven = await drive(plane, goal, {}, say, () => carryOut(planned, plane.lab, say));
      drives.push({ ...driven, schedule: planned });
    });
  }
  return { seed, at: new Date().toISOString(), drives };
}

async function carryOut(planned: readonly Scheduled[], lab: Lab, say: Say): Promise<void> {
  await Promise.all(
    planned.map(async ({ hit, fault, after, away }) => {
      await sleep(after);
      say(`${(after / 1000).toFixed(1)} s: ${fault} ${hit} for ${(away / 1000).toFixed(1)} s`);
      await strike(lab, hit, fault, away);
    }),
  );
}

/** mulberry32: small, and good enough to choose faults. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
