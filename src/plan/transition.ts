import { objects } from './words.ts';
import { compatible, type Arrangement, type Side } from './arrangement.ts';

export type Phase =
  | 'preflight'
  | 'stage'
  | 'promote'
  | 'rewrite'
  | 'verify'
  | 'soak'
  | 'cutover'
  | 'cleanup'
  | 'completed'
  | 'rolling-back'
  | 'rolled-back'
  | 'failed';

export type Gate = 'cutover' | 'cleanup';

/** What is known of one API server. */
export interface ServerView {
  name: string;
  /** What its file says, or is about to say: recorded before an edit is made. */
  file: Arrangement;
  /** Everything its process may be running. One entry, equal to `file`, once it has been seen to have loaded it. */
  mayRun: readonly Arrangement[];
  /** Seen to be another process than the one that was proven, or to run something else than its file. */
  doubted: boolean;
}

/** What a census found, as far as decisions need it. */
export interface CensusView {
  /** Objects that still need a provider other than the wanted writer (towards the source: that need the target). */
  outside: number;
  /** Objects whose format isn't known, or that no provider of the configuration opens. */
  unknown: number;
}

/** All that the next step depends on. */
export interface Observed {
  /** Where the migration is heading; `rollback` turns it to the source. */
  goal: Side;
  takeUp: 'Reload' | 'Restart';
  preflight: 'due' | 'passed' | 'failed';
  /** Whether the objects have been counted before anything was changed. */
  counted: boolean;
  servers: readonly ServerView[];
  /** Live API servers that aren't listed, in words. Nothing moves while there are any. */
  strangers: readonly string[];
  /** Whether this migration holds the cluster's Lease. */
  holding: boolean;
  /** Whether the fence in etcd has been raised since the direction changed, or somebody paused. */
  fenced: boolean;
  /** Whether any file was ever edited. */
  touched: boolean;
  /** The arrangement that canaries last proved on every API server; undone by each edit. */
  proven: Arrangement | undefined;
  /** Whether any API server may ever have sealed with the target. */
  targetMayHaveWritten: boolean;
  /** The rewriting towards the present goal. `refused`: objects that answered with a lasting refusal. */
  rewrite: { pass: number; begun: boolean; finished: boolean; refused: number };
  /** Whether values that were sealed before the writer changed have landed, or timed out. */
  settled: boolean;
  census: CensusView | undefined;
  /** Whether reading was proven through every API server, and how many reads failed. */
  reads: { failed: number } | undefined;
  /** Whether the API servers were still the proven ones when all that had been read. */
  unchanged: boolean;
  /** Whether nothing was written since the census that needs the side which is left. */
  delta: boolean;
  soaked: boolean;
  /** Whether the side that is left has begun to leave: everything was proven before, and that stands. */
  leaving: boolean;
  /** Whether etcd has compacted away what was there before the last rewrite. */
  compacted: boolean;
  approved: Readonly<Record<Gate, boolean>>;
  /** Why the side that had just left goes back in as a reader at once: something still needs it. */
  retreating: string | undefined;
  /** How often that happened since a person looked at it. */
  retreats: number;
  /** Whether no canary lies in etcd that only the target opens. */
  swept: boolean;
  cleaned: boolean;
  /** Why nothing may move now, if so. */
  held: string | undefined;
}

/** The next thing to do, which phase it belongs to, and why. */
export type Step = { phase: Phase; reason: string } & (
  | {
      kind:
        | 'preflight'
        | 'count'
        | 'fence'
        | 'settle'
        | 'census'
        | 'delta'
        | 'read'
        | 'look'
        | 'soak'
        | 'compaction'
        | 'sweep'
        | 'cleanup'
        | 'release';
    }
  | { kind: 'arrange'; arrangement: Arrangement; servers: readonly string[] }
  | { kind: 'converge'; servers: readonly string[] }
  | { kind: 'canary'; arrangement: Arrangement }
  | { kind: 'rewrite'; pass: number }
  | { kind: 'wait'; gate: Gate }
  /** Stops by itself, and waits for a person: `resume` tries again, `rollback` goes back. */
  | { kind: 'stop'; remedy: string }
  | { kind: 'hold' }
  | { kind: 'finish'; outcome: 'completed' | 'rolled-back' | 'failed' }
);

/** Passes of rewriting before keyferry stops and asks: each should find fewer objects than the one before. */
export const MAX_PASSES = 3;
/** Times that a side is put back after it left, before keyferry stops and asks. */
export const MAX_RETREATS = 2;

/**
 * The next step of a migration: a pure function of what is known.
 *
 * Promise: no API server is ever asked for an arrangement that isn't a neighbour of everything any other may be
 * running; the writer changes only after canaries proved that all can read it; and a side leaves the configuration
 * only after census and reads found nothing that needs it.
 */
export function decide(seen: Observed): Step {
  const step = seen.goal === 'target' ? towardsTarget(seen) : towardsSource(seen);
  const { phase } = step;
  // What is over is over: a hold on top of it would be one that no message leads out of.
  if (step.kind === 'finish') {
    return seen.holding
      ? { kind: 'release', phase, reason: 'the cluster is free for another migration' }
      : step;
  }
  // Before a hold, too: "paused" is said once nobody can write who was asked to before.
  if (!seen.fenced && seen.preflight === 'passed')
    return { kind: 'fence', phase, reason: 'whoever may still write for an earlier step is shut out' };
  if (seen.held !== undefined) return { kind: 'hold', phase, reason: seen.held };
  if (seen.strangers.length > 0) return { kind: 'look', phase, reason: unlisted(seen.strangers) };
  return step;
}

/** The same migration, with nothing that holds it up for a moment or for a person. */
export function unheld(seen: Observed): Observed {
  return { ...seen, held: undefined, fenced: true };
}

function towardsTarget(seen: Observed): Step {
  if (seen.preflight === 'failed') {
    return {
      kind: 'finish',
      outcome: 'failed',
      phase: 'failed',
      reason: 'preflight found what must be mended first; nothing was changed',
    };
  }
  if (seen.preflight === 'due')
    return { kind: 'preflight', phase: 'preflight', reason: 'nothing is changed before all checks pass' };
  if (!seen.counted)
    return {
      kind: 'count',
      phase: 'preflight',
      reason: 'what is there is counted, to compare with at the end',
    };

  const undone = retreat(seen, 'target-writes', 'cutover');
  if (undone !== undefined) return undone;
  if (!seen.leaving) {
    const step = untilVerified(seen) ?? untilCutover(seen);
    if (step !== undefined) return step;
  }
  return (
    reach(
      seen,
      'target-only',
      'cutover',
      'nothing needs the source any more, so it leaves the configuration',
    ) ??
    lastLook(seen, 'cutover') ??
    proof(seen, 'cutover') ??
    finishing(seen)
  );
}

function untilVerified(seen: Observed): Step | undefined {
  const staged = begun(seen, 'target-writes')
    ? undefined
    : reach(
        seen,
        'target-reads',
        'stage',
        'every API server must be able to read the target before any writes it',
      );
  return (
    staged ??
    (seen.rewrite.begun
      ? reach(
          seen,
          'target-writes',
          seen.rewrite.finished ? 'verify' : 'rewrite',
          'every API server must still write the target, with one key id',
        )
      : reach(seen, 'target-writes', 'promote', 'every API server reads the target, so they may write it')) ??
    rewriting(seen, 'rewrite', 'verify')
  );
}

function untilCutover(seen: Observed): Step | undefined {
  if (!seen.soaked) return { kind: 'soak', phase: 'soak', reason: 'the migration soaks, as its spec says' };
  if (!seen.approved.cutover) {
    return {
      kind: 'wait',
      gate: 'cutover',
      phase: 'soak',
      reason: 'everything is verified; cutover waits for approval',
    };
  }
  if (!seen.compacted) {
    return {
      kind: 'compaction',
      phase: 'soak',
      reason:
        "old continue tokens and lagging watches need the source until etcd's history before the last rewrite is compacted",
    };
  }
  return lastLook(seen, 'cutover');
}

/** What was written since the census: looked at right before a side leaves, and right after. */
function lastLook(seen: Observed, phase: Phase): Step | undefined {
  if (seen.delta) return undefined;
  return (
    landing(seen, phase) ?? {
      kind: 'delta',
      phase,
      reason: 'what was written since the census is looked at',
    }
  );
}

/** Waits for values that were sealed by a writer that is none any more. */
function landing(seen: Observed, phase: Phase): Step | undefined {
  if (seen.settled || !mayHaveWritten(seen)) return undefined;
  return {
    kind: 'settle',
    phase,
    reason: 'a value sealed before the writer changed may still land until its request times out',
  };
}

/** Whether the side that is to leave may have sealed anything: the source always has. */
function mayHaveWritten(seen: Observed): boolean {
  return seen.goal === 'target' || seen.targetMayHaveWritten;
}

/** Puts a side back as a reader that something turned out to need; again and again only with a person's word. */
function retreat(seen: Observed, back: Arrangement, phase: Phase): Step | undefined {
  if (seen.retreating !== undefined) {
    const step = reach(seen, back, phase, `${seen.retreating}, so it is put back as a reader`);
    if (step !== undefined) return step;
  }
  if (seen.retreats <= MAX_RETREATS) return undefined;
  return {
    kind: 'stop',
    phase,
    reason: `a side had to be put back ${seen.retreats} times after it had left`,
    remedy: 'find out who writes with it (an API server that is not listed?), then resume; or roll back',
  };
}

function finishing(seen: Observed): Step {
  if (!seen.approved.cleanup) {
    return {
      kind: 'wait',
      gate: 'cleanup',
      phase: 'cutover',
      reason: 'the source left the configuration; cleanup, the point of no return, waits for approval',
    };
  }
  if (!seen.cleaned) return { kind: 'cleanup', phase: 'cleanup', reason: 'kept files and canaries go' };
  return {
    kind: 'finish',
    outcome: 'completed',
    phase: 'completed',
    reason: 'every object is under the target',
  };
}

function towardsSource(seen: Observed): Step {
  const phase = 'rolling-back';
  if (!seen.touched) {
    return {
      kind: 'finish',
      outcome: 'rolled-back',
      phase: 'rolled-back',
      reason: 'nothing had been changed yet',
    };
  }
  const undone = retreat(seen, 'target-reads', phase);
  if (undone !== undefined) return undone;
  if (seen.targetMayHaveWritten) {
    if (begun(seen, 'target-only')) {
      const step = reach(
        seen,
        'target-writes',
        phase,
        'every API server must be able to read the source before any writes it',
      );
      if (step !== undefined) return step;
    }
    if (!seen.leaving) {
      const step =
        reach(seen, 'target-reads', phase, 'the source writes again, and the target is still read') ??
        rewriting(seen, phase, phase) ??
        lastLook(seen, phase);
      if (step !== undefined) return step;
    }
  }
  if (!seen.swept) {
    return { kind: 'sweep', phase, reason: 'canaries that only the target opens are taken out of etcd' };
  }
  return (
    reach(seen, 'source-only', phase, 'nothing needs the target, so it leaves the configuration') ??
    lastLook(seen, phase) ??
    proof(seen, phase) ??
    (seen.cleaned
      ? {
          kind: 'finish',
          outcome: 'rolled-back',
          phase: 'rolled-back',
          reason: 'every object is back under the source',
        }
      : { kind: 'cleanup', phase, reason: 'kept files and canaries go' })
  );
}

/** Rewrites, and proves the outcome; again where objects are left and another pass may help. */
function rewriting(seen: Observed, rewritePhase: Phase, verifyPhase: Phase): Step | undefined {
  const { rewrite } = seen;
  if (!rewrite.finished) {
    return {
      kind: 'rewrite',
      pass: rewrite.pass,
      phase: rewritePhase,
      reason:
        rewrite.pass === 1
          ? 'objects in another format are being written anew'
          : 'objects were left, so another pass is made',
    };
  }
  return proof(seen, verifyPhase);
}

/** A census and reads that nothing needs the side that is left; what to do where they say otherwise. */
function proof(seen: Observed, phase: Phase): Step | undefined {
  const { census, reads, rewrite } = seen;
  const early = landing(seen, phase);
  if (early !== undefined) return early;
  if (census === undefined)
    return { kind: 'census', phase, reason: 'etcd itself is asked what every object needs' };
  // On the way back they need the target no more than they ever did.
  if (census.unknown > 0 && seen.goal === 'target') {
    return {
      kind: 'stop',
      phase,
      reason: `${objects(census.unknown)} in a format that no provider of the configuration has`,
      remedy: 'look at them with "keyferry census", restore or delete them, then resume; or roll back',
    };
  }
  if (census.outside > 0) {
    if (rewrite.refused > 0) {
      return {
        kind: 'stop',
        phase,
        reason: `${objects(rewrite.refused)} refused to be rewritten`,
        remedy: 'see "keyferry report" for each one\'s reason, mend it, then resume; or roll back',
      };
    }
    if (rewrite.pass < MAX_PASSES) {
      return {
        kind: 'rewrite',
        pass: rewrite.pass + 1,
        phase: phase === 'verify' ? 'rewrite' : phase,
        reason: `${objects(census.outside)} left after pass ${rewrite.pass}`,
      };
    }
    return {
      kind: 'stop',
      phase,
      reason: `${objects(census.outside)} left after ${MAX_PASSES} passes`,
      remedy: 'find out who writes them (an API server that is not listed?), then resume; or roll back',
    };
  }
  if (!mayHaveWritten(seen)) return undefined;
  if (reads === undefined)
    return { kind: 'read', phase, reason: 'objects are read through every API server' };
  if (reads.failed > 0) {
    return {
      kind: 'stop',
      phase,
      reason: `${objects(reads.failed)} could not be read`,
      remedy: 'see "keyferry report" for which and why, mend it, then resume; or roll back',
    };
  }
  return seen.unchanged
    ? undefined
    : {
        kind: 'look',
        phase: phase === 'verify' && seen.soaked ? 'soak' : phase,
        reason: 'the API servers must still be those that were proven',
      };
}

/** The step that brings every API server closer to an arrangement; undefined once canaries proved it on all. */
function reach(seen: Observed, wanted: Arrangement, phase: Phase, reason: string): Step | undefined {
  const doubted = seen.servers.filter((server) => server.doubted);
  if (doubted.length > 0) {
    return {
      kind: 'converge',
      servers: names(doubted),
      phase,
      reason: `${names(doubted).join(', ')} changed since the last proof: it must run its file again`,
    };
  }
  const unsettled = seen.servers.filter((server) => server.mayRun.some((one) => one !== server.file));
  const restarting = seen.takeUp === 'Restart' ? unsettled.filter((server) => server.file === wanted) : [];
  const converge = (servers: readonly ServerView[]): Step => ({
    kind: 'converge',
    servers: names(servers),
    phase,
    reason,
  });

  // One at a time: while one restarts, the others serve.
  if (restarting.length > 0) return converge(restarting);
  const elsewhere = seen.servers.filter((server) => server.file !== wanted);
  if (elsewhere.length > 0) {
    const safe = seen.servers.every((server) => server.mayRun.every((one) => compatible(one, wanted)));
    if (!safe) return converge(unsettled);
    return {
      kind: 'arrange',
      arrangement: wanted,
      servers: names(seen.takeUp === 'Restart' ? elsewhere.slice(0, 1) : elsewhere),
      phase,
      reason,
    };
  }
  if (unsettled.length > 0) return converge(unsettled);
  if (seen.proven !== wanted) return { kind: 'canary', arrangement: wanted, phase, reason };
  return undefined;
}

/** Whether any file says, or any process may run, this arrangement. */
function begun(seen: Observed, arrangement: Arrangement): boolean {
  return seen.servers.some((server) => server.file === arrangement || server.mayRun.includes(arrangement));
}

function unlisted(strangers: readonly string[]): string {
  return `an API server that the migration doesn't know lives: ${strangers.join(', ')}; stop it until the migration is over, or, if it is gone for good, delete its Lease in kube-system`;
}

function names(servers: readonly ServerView[]): string[] {
  return servers.map((server) => server.name);
}
