import type { Refusal } from '../rewrite/engine.ts';
import type { ReadsTally } from './tally.ts';
import type { Waiver } from './waivers.ts';
import type { Observed, Phase, ServerView, Step } from './transition.ts';
import { decide, unheld } from './transition.ts';
import type { StoragePhase } from './storage-versions.ts';
import type { VersionRow } from './version-tally.ts';

/** What an operator sees of a migration: the answer of the `progress` query. */
export interface Progress {
  migration: string;
  cluster: string;
  phase: Phase | StoragePhase;
  goal: 'source' | 'target';
  source: string;
  target: string;
  /** `running`, or why not: `pausing` until every writer has answered, then `paused`; `waiting` for a person. */
  state: 'running' | 'pausing' | 'paused' | 'waiting' | 'finished';
  /** What it waits for, or does, in words. */
  waitingFor: string;
  /** Milliseconds since the epoch from when on it has waited for that. */
  waitingSince?: number;
  objects: {
    /** As counted before anything was changed. */
    total: number;
    inSource: number;
    inTarget: number;
  };
  pass: number;
  /** Of the present pass: objects handled, of how many, and what came of them. */
  rewrite: { done: number; of: number; rewritten: number; current: number; gone: number; refused: number };
  /** Objects per second over the last minute. */
  rate: number;
  /** Seconds that the pass still takes at that rate; absent where it can't be told. */
  etaSeconds?: number;
  apiServers: readonly ServerView[];
  shards: { total: number; done: number; stalled: string[] };
  /** How fast it may go; absent from a worker of a version before. */
  throttle?: {
    /** What is asked for at most; 0: no limit. */
    objectsPerSecond: number;
    /** Why it goes on slower than that; what makes it pause is under `shards.stalled`. */
    slowed: string[];
  };
  /** Objects that can't be rewritten, each with why and the way out. */
  refusals: Refusal[];
  /** Objects that were given up; without a proof until the API servers were asked. */
  waivers: Waiver[];
  census: { resource: string; provider: string; key?: string; keyId?: string; count: number }[];
  /** Of a StorageVersionMigration: in which versions objects lie. */
  versions?: VersionRow[];
  checks: { name: string; outcome: string; detail: string; remedy?: string }[];
  /** Reads through the API servers; the first that failed by name. */
  reads?: ReadsTally;
  startedAt: number;
  finishedAt?: number;
  /** What can be done next, as commands. */
  nextSteps: string[];
}

const WINDOW_MS = 60_000;

/** Objects per second over the window that ends with the last sample. */
export function rateOf(samples: readonly { at: number; done: number }[]): number {
  const last = samples.at(-1);
  if (last === undefined) return 0;
  const first = samples.find((sample) => sample.at >= last.at - WINDOW_MS);
  if (first === undefined || last.at <= first.at) return 0;
  return Math.max(0, ((last.done - first.done) * 1000) / (last.at - first.at));
}

/** Keeps the samples that the window still needs. */
export function withSample(
  samples: readonly { at: number; done: number }[],
  sample: { at: number; done: number },
): { at: number; done: number }[] {
  return [
    ...samples.filter((one) => one.at >= sample.at - WINDOW_MS && one.done <= sample.done),
    sample,
  ].slice(-200);
}

/** What can be done next, given where a migration stands. */
export function nextSteps(seen: Observed): string[] {
  const step: Step = decide(unheld(seen));
  if (step.kind === 'finish') return ['keyferry report'];
  const back =
    seen.goal === 'source'
      ? ['keyferry forward --reason "…"']
      : seen.approved.cleanup
        ? []
        : ['keyferry rollback --reason "…"'];
  const waive = step.kind === 'stop' ? ['keyferry waive <resource>/<namespace>/<name> --reason "…"'] : [];
  if (seen.held !== undefined) return ['keyferry resume', ...waive, ...back];
  if (step.kind === 'wait') return [`keyferry approve ${step.gate} --reason "…"`, 'keyferry census', ...back];
  return ['keyferry pause --reason "…"', ...back];
}

/** What an API server may be running, as people are told. */
export function runs({ mayRun, doubted }: ServerView): string {
  return doubted ? 'not what was proven' : mayRun.join(' or ');
}
