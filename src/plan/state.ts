import { objects } from './words.ts';
import { writingSide, type Arrangement, type Side } from './arrangement.ts';
import type { CensusView, Gate, Observed, ServerView } from './transition.ts';

/** What happened, as far as the next decision depends on it. */
export type PlanEvent =
  | { kind: 'preflight'; passed: boolean }
  | { kind: 'counted' }
  /** Recorded before an edit is made: from then on the server may be running either. */
  | { kind: 'editing'; server: string; arrangement: Arrangement }
  /** A server was seen to have loaded what its file says. */
  | { kind: 'loaded'; server: string }
  /** A server was seen to be another process than the one that was proven. */
  | { kind: 'restarted'; server: string }
  /** A server was seen to run something else than it was proven with. */
  | { kind: 'drifted'; server: string }
  /** Who was seen to live without being listed; nobody, mostly. */
  | { kind: 'strangers'; servers: readonly string[] }
  /** The servers were seen to be the proven ones. */
  | { kind: 'unchanged' }
  | { kind: 'fenced' }
  /** The cluster's Lease was given back. */
  | { kind: 'freed' }
  | { kind: 'proven'; arrangement: Arrangement }
  | { kind: 'rewriting'; pass: number }
  | { kind: 'rewritten'; refused: number }
  | { kind: 'settled' }
  | ({ kind: 'census' } & CensusView)
  /** What a census of everything written since the last one found. */
  | ({ kind: 'delta' } & CensusView)
  | { kind: 'read'; failed: number }
  | { kind: 'swept' }
  | { kind: 'soaked' }
  | { kind: 'compacted' }
  | { kind: 'approved'; gate: Gate }
  | { kind: 'turned'; goal: Side }
  | { kind: 'held'; reason: string }
  | { kind: 'released' }
  | { kind: 'cleaned' };

/** What has to be looked at anew once anything may have been written, or any server may be another. */
const UNPROVEN = { census: undefined, reads: undefined, unchanged: false, delta: false } as const;

const UNVERIFIED = {
  rewrite: { pass: 1, begun: false, finished: false, refused: 0 },
  settled: false,
  ...UNPROVEN,
  soaked: false,
  leaving: false,
  compacted: false,
  approved: { cutover: false, cleanup: false },
} as const;

/** A migration that hasn't begun. */
export function initial(servers: readonly string[], takeUp: Observed['takeUp']): Observed {
  return {
    goal: 'target',
    takeUp,
    preflight: 'due',
    counted: false,
    servers: servers.map((name) => ({ name, file: 'source-only', mayRun: ['source-only'], doubted: false })),
    touched: false,
    proven: undefined,
    targetMayHaveWritten: false,
    ...UNVERIFIED,
    strangers: [],
    holding: false,
    fenced: false,
    retreating: undefined,
    retreats: 0,
    swept: false,
    cleaned: false,
    held: undefined,
  };
}

/** What is known after an event: pure, and total (an event that fits nothing changes nothing). */
export function advance(seen: Observed, event: PlanEvent): Observed {
  switch (event.kind) {
    case 'preflight':
      return { ...seen, preflight: event.passed ? 'passed' : 'failed' };
    case 'counted':
      return { ...seen, counted: true };
    case 'editing':
      return editing(seen, event.server, event.arrangement);
    case 'loaded':
      return withServer(seen, event.server, (server) => ({
        ...server,
        mayRun: [server.file],
        doubted: false,
      }));
    case 'restarted':
      return { ...doubt(seen, event.server), unchanged: false };
    case 'drifted':
      // It may have sealed with either side since it was last looked at.
      return { ...doubt(seen, event.server), ...UNVERIFIED };
    case 'strangers':
      return event.servers.length === 0
        ? { ...seen, strangers: [] }
        : { ...seen, ...UNVERIFIED, strangers: event.servers };
    case 'unchanged':
      return { ...seen, unchanged: true };
    case 'fenced':
      return { ...seen, fenced: true, holding: true };
    case 'freed':
      return { ...seen, holding: false };
    case 'proven':
      return {
        ...seen,
        proven: event.arrangement,
        retreating:
          event.arrangement === seen.servers[0]?.file && !hasLetGo(seen) ? undefined : seen.retreating,
      };
    case 'rewriting':
      return {
        ...seen,
        rewrite: { pass: event.pass, begun: true, finished: false, refused: 0 },
        ...UNPROVEN,
      };
    case 'rewritten':
      return {
        ...seen,
        rewrite: { ...seen.rewrite, finished: true, refused: event.refused },
        // Every server shows once more what it writes, with which key id, before the outcome is looked at.
        proven: undefined,
        compacted: false,
      };
    case 'settled':
      return { ...seen, settled: true };
    case 'census':
      return event.outside > 0 && hasLetGo(seen)
        ? retreat(seen, `${objects(event.outside)} needing what has left turned up`)
        : { ...seen, census: { outside: event.outside, unknown: event.unknown } };
    case 'delta':
      if (event.outside === 0 && (event.unknown === 0 || seen.goal === 'source'))
        return { ...seen, delta: true };
      return hasLetGo(seen)
        ? retreat(seen, `${objects(event.outside)} needing what has left turned up since the census`)
        : { ...seen, census: { outside: event.outside, unknown: event.unknown } };
    case 'read':
      return event.failed > 0 && hasLetGo(seen)
        ? retreat(seen, `${objects(event.failed)} could not be read any more`)
        : { ...seen, reads: { failed: event.failed } };
    case 'swept':
      return { ...seen, swept: true };
    case 'soaked':
      return { ...seen, soaked: true };
    case 'compacted':
      return { ...seen, compacted: true };
    case 'approved':
      return { ...seen, approved: { ...seen.approved, [event.gate]: true } };
    case 'turned':
      return {
        ...seen,
        ...UNVERIFIED,
        goal: event.goal,
        fenced: false,
        retreating: undefined,
        retreats: 0,
        swept: false,
        held: undefined,
      };
    case 'held':
      return { ...seen, fenced: false, held: event.reason };
    case 'released':
      // Nobody looked meanwhile.
      return { ...seen, unchanged: false, delta: false, ...reconsidered(seen), held: undefined };
    case 'cleaned':
      return { ...seen, cleaned: true };
  }
}

function editing(seen: Observed, server: string, arrangement: Arrangement): Observed {
  const edited = withServer(seen, server, (one) => ({
    ...one,
    file: arrangement,
    mayRun: [...new Set([...one.mayRun, arrangement])],
  }));
  return {
    ...edited,
    touched: true,
    proven: undefined,
    targetMayHaveWritten: seen.targetMayHaveWritten || writingSide(arrangement) === 'target',
    ...staleAfter(seen, arrangement),
    leaving: arrangement === lastOf(seen.goal),
  };
}

/** What an edit makes doubtful. Only the last edit of a direction leaves what was verified before it standing. */
function staleAfter(seen: Observed, arrangement: Arrangement): Partial<Observed> {
  switch (arrangement) {
    case 'source-only':
      return UNPROVEN;
    case 'target-reads':
    case 'target-writes':
      return UNVERIFIED;
    case 'target-only':
      return { ...UNPROVEN, approved: { ...seen.approved, cleanup: false } };
  }
}

/** Whether the side that is to leave may have left an API server's configuration. */
function hasLetGo(seen: Observed): boolean {
  return seen.servers.some((server) => server.mayRun.includes(lastOf(seen.goal)));
}

/** The arrangement in which a migration towards a side ends. */
function lastOf(goal: Side): Arrangement {
  return goal === 'target' ? 'target-only' : 'source-only';
}

function retreat(seen: Observed, reason: string): Observed {
  return { ...seen, ...UNVERIFIED, retreating: reason, retreats: seen.retreats + 1 };
}

function doubt(seen: Observed, name: string): Observed {
  return { ...withServer(seen, name, (server) => ({ ...server, doubted: true })), proven: undefined };
}

/** What is looked at again when a person resumes after keyferry stopped: everything that had said no. */
function reconsidered(seen: Observed): Partial<Observed> {
  const saidNo =
    (seen.census?.outside ?? 0) > 0 || (seen.census?.unknown ?? 0) > 0 || (seen.reads?.failed ?? 0) > 0;
  return { retreats: 0, ...(saidNo ? { rewrite: UNVERIFIED.rewrite, ...UNPROVEN } : {}) };
}

function withServer(seen: Observed, name: string, change: (server: ServerView) => ServerView): Observed {
  return { ...seen, servers: seen.servers.map((server) => (server.name === name ? change(server) : server)) };
}
