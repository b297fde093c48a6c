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
  | { kind: 'proven'; arrangement: Arrangement }
  | { kind: 'rewriting'; pass: number }
  | { kind: 'rewritten'; refused: number }
  | { kind: 'settled' }
  | ({ kind: 'census' } & CensusView)
  | { kind: 'read'; failed: number }
  | { kind: 'soaked' }
  | { kind: 'compacted' }
  | { kind: 'approved'; gate: Gate }
  /** The verification is too old to cut over on. */
  | { kind: 'expired' }
  | { kind: 'turned'; goal: Side }
  | { kind: 'held'; reason: string }
  | { kind: 'released' }
  | { kind: 'cleaned' };

const UNVERIFIED = {
  rewrite: { pass: 1, finished: false, refused: 0 },
  settled: false,
  census: undefined,
  reads: undefined,
  soaked: false,
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
    servers: servers.map((name) => ({ name, file: 'source-only', mayRun: ['source-only'] })),
    touched: false,
    proven: undefined,
    targetMayHaveWritten: false,
    ...UNVERIFIED,
    retreating: false,
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
      return withServer(seen, event.server, (server) => ({ ...server, mayRun: [server.file] }));
    case 'proven':
      return {
        ...seen,
        proven: event.arrangement,
        retreating: seen.retreating && event.arrangement !== 'target-writes',
      };
    case 'rewriting':
      return {
        ...seen,
        rewrite: { pass: event.pass, finished: false, refused: 0 },
        census: undefined,
        reads: undefined,
      };
    case 'rewritten':
      return {
        ...seen,
        rewrite: { ...seen.rewrite, finished: true, refused: event.refused },
        compacted: false,
      };
    case 'settled':
      return { ...seen, settled: true };
    case 'census':
      return event.outside > 0 && hasLetGo(seen)
        ? retreat(seen)
        : { ...seen, census: { outside: event.outside, unknown: event.unknown } };
    case 'read':
      return event.failed > 0 && hasLetGo(seen)
        ? retreat(seen)
        : { ...seen, reads: { failed: event.failed } };
    case 'soaked':
      return { ...seen, soaked: true };
    case 'compacted':
      return { ...seen, compacted: true };
    case 'approved':
      return { ...seen, approved: { ...seen.approved, [event.gate]: true } };
    case 'expired':
      return { ...seen, census: undefined, reads: undefined };
    case 'turned':
      return { ...seen, ...UNVERIFIED, goal: event.goal, retreating: false, held: undefined };
    case 'held':
      return { ...seen, held: event.reason };
    case 'released':
      return { ...seen, ...reconsidered(seen), held: undefined };
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
  };
}

/** What an edit makes doubtful. Only the last edit of a direction leaves what was verified before it standing. */
function staleAfter(seen: Observed, arrangement: Arrangement): Partial<Observed> {
  switch (arrangement) {
    case 'source-only':
      return {};
    case 'target-reads':
    case 'target-writes':
      return UNVERIFIED;
    case 'target-only':
      return { census: undefined, reads: undefined, approved: { ...seen.approved, cleanup: false } };
  }
}

/** Whether the source may have left an API server's configuration, with the target as the goal. */
function hasLetGo(seen: Observed): boolean {
  return seen.goal === 'target' && seen.servers.some((server) => server.mayRun.includes('target-only'));
}

function retreat(seen: Observed): Observed {
  return { ...seen, ...UNVERIFIED, retreating: true };
}

/** What is looked at again when a person resumes after keyferry stopped: everything that had said no. */
function reconsidered(seen: Observed): Partial<Observed> {
  const saidNo =
    (seen.census?.outside ?? 0) > 0 || (seen.census?.unknown ?? 0) > 0 || (seen.reads?.failed ?? 0) > 0;
  return saidNo ? { rewrite: UNVERIFIED.rewrite, census: undefined, reads: undefined } : {};
}

function withServer(seen: Observed, name: string, change: (server: ServerView) => ServerView): Observed {
  return { ...seen, servers: seen.servers.map((server) => (server.name === name ? change(server) : server)) };
}
