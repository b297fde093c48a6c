import { describe, expect, it } from '@jest/globals';
import type { Arrangement } from './arrangement.ts';
import { advance, initial, type PlanEvent } from './state.ts';
import { decide, MAX_PASSES, type Observed, type ServerView, type Step } from './transition.ts';

/** Only what matters of a step: its phase, what it does, and to whom. */
function brief(step: Step): string {
  const phase = `${step.phase}:`;
  switch (step.kind) {
    case 'arrange':
      return `${phase} arrange ${step.servers.join('+')} as ${step.arrangement}`;
    case 'converge':
      return `${phase} converge ${step.servers.join('+')}`;
    case 'canary':
      return `${phase} canary ${step.arrangement}`;
    case 'rewrite':
      return `${phase} rewrite, pass ${step.pass}`;
    case 'wait':
      return `${phase} wait for ${step.gate}`;
    case 'finish':
      return `${phase} finish`;
    case 'stop':
    case 'hold':
      return `${phase} ${step.kind}, ${step.reason}`;
    default:
      return `${phase} ${step.kind}`;
  }
}

const at = (file: Arrangement, ...mayRun: Arrangement[]): Omit<ServerView, 'name'> => ({
  file,
  mayRun: mayRun.length === 0 ? [file] : mayRun,
  doubted: false,
});

/** A migration of servers "a" and "b" that has been looked at and counted. */
function seen(
  a: Omit<ServerView, 'name'>,
  b: Omit<ServerView, 'name'>,
  more: Partial<Observed> = {},
): Observed {
  const touched = [a, b].some((server) => server.mayRun.some((one) => one !== 'source-only'));
  const written = [a, b].some((server) =>
    server.mayRun.some((one) => one.startsWith('target-w') || one === 'target-only'),
  );
  return {
    ...initial(['a', 'b'], 'Reload'),
    preflight: 'passed',
    counted: true,
    fenced: true,
    holding: false,
    swept: true,
    servers: [
      { name: 'a', ...a },
      { name: 'b', ...b },
    ],
    touched,
    targetMayHaveWritten: written,
    ...more,
  };
}

const S = at('source-only');
const ST = at('target-reads');
const TS = at('target-writes');
const T = at('target-only');
const rewritten = { pass: 1, begun: true, finished: true, refused: 0 };
const clean = { outside: 0, unknown: 0 };
const verified: Partial<Observed> = {
  proven: 'target-writes',
  rewrite: rewritten,
  settled: true,
  census: clean,
  reads: { failed: 0 },
  unchanged: true,
};
const cutOver: Partial<Observed> = {
  ...verified,
  delta: true,
  leaving: true,
  proven: 'target-only',
  soaked: true,
  compacted: true,
  approved: { cutover: true, cleanup: false },
};
const back: Partial<Observed> = { goal: 'source', touched: true };

describe('towards the target', () => {
  it.each<[string, Observed, string]>([
    ['nothing is known => preflight', initial(['a', 'b'], 'Reload'), 'preflight: preflight'],
    [
      'a failed preflight => it ends with nothing changed',
      { ...initial(['a'], 'Reload'), preflight: 'failed' },
      'failed: finish',
    ],
    [
      'checks passed => the cluster is taken, and others are shut out',
      { ...initial(['a'], 'Reload'), preflight: 'passed' },
      'preflight: fence',
    ],
    [
      'the fence stands, nothing counted => count',
      { ...initial(['a'], 'Reload'), preflight: 'passed', fenced: true },
      'preflight: count',
    ],
    [
      'counted => the target becomes a reader everywhere at once',
      seen(S, S),
      'stage: arrange a+b as target-reads',
    ],
    [
      'servers are restarted one after another => one file at a time',
      seen(S, S, { takeUp: 'Restart' }),
      'stage: arrange a as target-reads',
    ],
    [
      'one file is written and its server restarts => the next one waits',
      seen(at('target-reads', 'source-only', 'target-reads'), S, { takeUp: 'Restart' }),
      'stage: converge a',
    ],
    [
      'one of two has restarted => the other one',
      seen(ST, S, { takeUp: 'Restart' }),
      'stage: arrange b as target-reads',
    ],
    [
      'files are written but one server has not loaded its own => wait for that one',
      seen(ST, at('target-reads', 'source-only', 'target-reads')),
      'stage: converge b',
    ],
    ['all loaded, nothing proven => canaries', seen(ST, ST), 'stage: canary target-reads'],
    [
      'an older proof does not count => canaries',
      seen(ST, ST, { proven: 'source-only' }),
      'stage: canary target-reads',
    ],
    [
      'all read the target => it may write',
      seen(ST, ST, { proven: 'target-reads' }),
      'promote: arrange a+b as target-writes',
    ],
    [
      'one server may still lack the target => no other writes it',
      seen(TS, at('target-reads', 'source-only', 'target-reads')),
      'promote: converge b',
    ],
    ['promoted, not proven => canaries', seen(TS, TS), 'promote: canary target-writes'],
    [
      'all write the target => rewrite',
      seen(TS, TS, { proven: 'target-writes' }),
      'rewrite: rewrite, pass 1',
    ],
    [
      'rewritten, but late writes may land => wait',
      seen(TS, TS, { proven: 'target-writes', rewrite: rewritten }),
      'verify: settle',
    ],
    [
      'late writes have landed => census',
      seen(TS, TS, { ...verified, census: undefined, reads: undefined }),
      'verify: census',
    ],
    [
      'objects are left => another pass',
      seen(TS, TS, { ...verified, census: { outside: 3, unknown: 0 } }),
      'rewrite: rewrite, pass 2',
    ],
    [
      'objects are left after all passes => stop and ask',
      seen(TS, TS, {
        ...verified,
        rewrite: { ...rewritten, pass: MAX_PASSES },
        census: { outside: 1, unknown: 0 },
      }),
      'verify: stop, 1 object left after 3 passes',
    ],
    [
      'objects refused => stop by name, however clean the rest',
      seen(TS, TS, {
        ...verified,
        rewrite: { ...rewritten, refused: 2 },
        census: { outside: 2, unknown: 0 },
      }),
      'verify: stop, 2 objects refused to be rewritten',
    ],
    [
      'an object in a format nobody knows => stop, it is never overwritten',
      seen(TS, TS, { ...verified, census: { outside: 0, unknown: 1 } }),
      'verify: stop, 1 object in a format that no provider of the configuration has',
    ],
    ['nothing is left => prove reading', seen(TS, TS, { ...verified, reads: undefined }), 'verify: read'],
    [
      'an object that no server reads => stop',
      seen(TS, TS, { ...verified, reads: { failed: 1 } }),
      'verify: stop, 1 object could not be read',
    ],
    ['verified => soak', seen(TS, TS, verified), 'soak: soak'],
    ['soaked => wait for a person', seen(TS, TS, { ...verified, soaked: true }), 'soak: wait for cutover'],
    [
      'approved, but etcd still has the old history => wait for compaction',
      seen(TS, TS, { ...verified, soaked: true, approved: { cutover: true, cleanup: false } }),
      'soak: compaction',
    ],
    [
      'approved and compacted => what was written since the census is looked at',
      seen(TS, TS, {
        ...verified,
        soaked: true,
        compacted: true,
        approved: { cutover: true, cleanup: false },
      }),
      'cutover: delta',
    ],
    [
      'nothing was => the source leaves',
      seen(TS, TS, {
        ...verified,
        soaked: true,
        compacted: true,
        approved: { cutover: true, cleanup: false },
        delta: true,
      }),
      'cutover: arrange a+b as target-only',
    ],
    [
      'something was => another pass',
      seen(TS, TS, {
        ...verified,
        soaked: true,
        compacted: true,
        approved: { cutover: true, cleanup: false },
        census: { outside: 1, unknown: 0 },
      }),
      'rewrite: rewrite, pass 2',
    ],
    [
      'read, but nobody looked whether the servers are the same => look',
      seen(TS, TS, { ...verified, unchanged: false }),
      'verify: look',
    ],
    [
      'one server changed => it must run its file again first, whatever comes next',
      seen(TS, { ...TS, doubted: true }, verified),
      'verify: converge b',
    ],
    [
      'a server lives that is not listed => wait until it is gone',
      seen(TS, TS, { ...verified, strangers: ['c'] }),
      'soak: look',
    ],
    [
      'paused => the fence first, so that nobody writes once it says so',
      seen(TS, TS, { ...verified, held: 'paused by jo', fenced: false }),
      'soak: fence',
    ],
    [
      'put back three times => stop and ask',
      seen(TS, TS, { ...verified, retreats: 3 }),
      'cutover: stop, a side had to be put back 3 times after it had left',
    ],
    [
      'over, with the Lease still held => give it back',
      seen(T, T, { ...cutOver, approved: { cutover: true, cleanup: true }, cleaned: true, holding: true }),
      'completed: release',
    ],
    [
      'one server without the source => the other follows',
      seen(T, TS, { ...cutOver, proven: undefined }),
      'cutover: arrange b as target-only',
    ],
    [
      'cut over => another census',
      seen(T, T, { ...cutOver, census: undefined, reads: undefined }),
      'cutover: census',
    ],
    [
      'cut over just now => first of all what was written meanwhile',
      seen(T, T, { ...cutOver, census: undefined, reads: undefined, delta: false }),
      'cutover: delta',
    ],
    [
      'the census after cutover is clean, reads are not proven => read',
      seen(T, T, { ...cutOver, reads: undefined }),
      'cutover: read',
    ],
    ['all proven => wait for a person', seen(T, T, cutOver), 'cutover: wait for cleanup'],
    [
      'approved => clean up',
      seen(T, T, { ...cutOver, approved: { cutover: true, cleanup: true } }),
      'cleanup: cleanup',
    ],
    [
      'cleaned up => completed',
      seen(T, T, { ...cutOver, approved: { cutover: true, cleanup: true }, cleaned: true }),
      'completed: finish',
    ],
    [
      'objects need the source after cutover => it is put back at once',
      seen(T, T, { ...cutOver, retreating: '2 objects need it' }),
      'cutover: arrange a+b as target-writes',
    ],
    [
      'paused, and over meanwhile => it is over',
      { ...initial(['a'], 'Reload'), preflight: 'failed', held: 'paused by jo' },
      'failed: finish',
    ],
    [
      'paused => nothing, in the phase it was in',
      seen(S, S, { held: 'paused by jo' }),
      'stage: hold, paused by jo',
    ],
  ])('%s', (_, observed, expected) => expect(brief(decide(observed))).toBe(expected));
});

describe('towards the source', () => {
  it.each<[string, Observed, string]>([
    [
      'nothing was changed => it is over',
      { ...initial(['a'], 'Reload'), goal: 'source' },
      'rolled-back: finish',
    ],
    ['staged only => the target just leaves', seen(ST, ST, back), 'rolling-back: arrange a+b as source-only'],
    ['in mid-stage => the staged one goes back', seen(ST, S, back), 'rolling-back: arrange a as source-only'],
    [
      'in mid-stage, the file written and never loaded (a dead plugin) => the file goes back without waiting for it',
      seen(at('target-reads', 'source-only', 'target-reads'), S, back),
      'rolling-back: arrange a as source-only',
    ],
    [
      'promoted => the source writes again first',
      seen(TS, TS, back),
      'rolling-back: arrange a+b as target-reads',
    ],
    [
      'in mid-promote => those that write the target first',
      seen(TS, ST, back),
      'rolling-back: arrange a as target-reads',
    ],
    [
      'cut over => the source becomes a reader first',
      seen(T, T, back),
      'rolling-back: arrange a+b as target-writes',
    ],
    [
      'in mid-cutover => where it left, it comes back',
      seen(T, TS, back),
      'rolling-back: arrange a as target-writes',
    ],
    [
      'the source writes => everything is rewritten to it',
      seen(ST, ST, { ...back, targetMayHaveWritten: true, proven: 'target-reads' }),
      'rolling-back: rewrite, pass 1',
    ],
    [
      'objects are left under the target => it stays',
      seen(ST, ST, {
        ...back,
        targetMayHaveWritten: true,
        ...verified,
        proven: 'target-reads',
        census: { outside: 1, unknown: 0 },
      }),
      'rolling-back: rewrite, pass 2',
    ],
    [
      'nothing needs the target => it leaves',
      seen(ST, ST, {
        ...back,
        targetMayHaveWritten: true,
        ...verified,
        delta: true,
        proven: 'target-reads',
      }),
      'rolling-back: arrange a+b as source-only',
    ],
    [
      'a canary may lie there that only the target opens => it goes before the target does',
      seen(ST, ST, { ...back, swept: false }),
      'rolling-back: sweep',
    ],
    [
      'back where it was => a last census proves it',
      seen(S, S, { ...back, proven: 'source-only', delta: true }),
      'rolling-back: census',
    ],
    [
      'proven => clean up',
      seen(S, S, { ...back, proven: 'source-only', delta: true, census: clean }),
      'rolling-back: cleanup',
    ],
    [
      'cleaned up => rolled back',
      seen(S, S, { ...back, proven: 'source-only', delta: true, census: clean, cleaned: true }),
      'rolled-back: finish',
    ],
  ])('%s', (_, observed, expected) => expect(brief(decide(observed))).toBe(expected));
});

describe('what happened changes what is known', () => {
  const after = (from: Observed, ...events: PlanEvent[]): Observed => events.reduce(advance, from);

  it('from the moment an edit may be made, the server may be running either', () => {
    const server = after(seen(S, S), { kind: 'editing', server: 'a', arrangement: 'target-reads' })
      .servers[0];
    expect(server).toMatchObject({ file: 'target-reads', mayRun: ['source-only', 'target-reads'] });
  });

  it('an edit undoes the proof', () => {
    const edited = after(seen(ST, ST, { proven: 'target-reads' }), {
      kind: 'editing',
      server: 'a',
      arrangement: 'target-writes',
    });
    expect(edited.proven).toBeUndefined();
    expect(edited.targetMayHaveWritten).toBe(true);
  });

  it('a change of the writer makes everything verified before doubtful', () => {
    const edited = after(seen(TS, TS, verified), {
      kind: 'editing',
      server: 'a',
      arrangement: 'target-reads',
    });
    expect(edited).toMatchObject({
      settled: false,
      census: undefined,
      reads: undefined,
      rewrite: { finished: false },
    });
  });

  it('an object found outside the target after cutover turns the migration round to put the source back', () => {
    const found = after(seen(T, T, cutOver), { kind: 'census', outside: 1, unknown: 0 });
    expect(found.retreating).toBe('1 object needing what has left turned up');
    expect(found.approved.cutover).toBe(false);
    const returned = after(
      found,
      ...(['a', 'b'] as const).flatMap((server): PlanEvent[] => [
        { kind: 'editing', server, arrangement: 'target-writes' },
        { kind: 'loaded', server },
      ]),
      { kind: 'proven', arrangement: 'target-writes' },
    );
    expect(brief(decide(returned))).toBe('rewrite: rewrite, pass 1');
  });

  it('an object that could not be read after cutover does the same', () => {
    expect(after(seen(T, T, cutOver), { kind: 'read', failed: 1 }).retreating).toBe(
      '1 object could not be read any more',
    );
  });

  it('a rollback forgets approvals and proofs', () => {
    const turned = after(seen(TS, TS, { ...verified, approved: { cutover: true, cleanup: false } }), {
      kind: 'turned',
      goal: 'source',
    });
    expect(turned).toMatchObject({ goal: 'source', census: undefined, approved: { cutover: false } });
  });

  it('resuming after objects refused looks at everything again', () => {
    const stopped = seen(TS, TS, {
      ...verified,
      rewrite: { ...rewritten, refused: 2 },
      census: { outside: 2, unknown: 0 },
      held: 'refused',
    });
    const resumed = after(stopped, { kind: 'released' });
    expect(brief(decide(resumed))).toBe('rewrite: rewrite, pass 1');
  });

  it('resuming after a plain pause looks at the servers, and goes on where it was', () => {
    const resumed = after(seen(TS, TS, { ...verified, held: 'paused' }), { kind: 'released' });
    expect(brief(decide(resumed))).toBe('verify: look');
    expect(brief(decide(after(resumed, { kind: 'unchanged' })))).toBe('soak: soak');
  });
});
