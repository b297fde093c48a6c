import { describe, expect, it } from '@jest/globals';
import { admitStorage, storageNextSteps } from './storage-messages.ts';
import { advanceStorage, initialStorage, type StorageEvent } from './storage-state.ts';
import {
  decideStorage,
  MAX_STORAGE_PASSES,
  type StorageObserved,
  type StorageStep,
} from './storage-versions.ts';
import { missingVersions } from './stored-resource.ts';
import { arrivedOf, NO_VERSIONS, outside } from './version-tally.ts';

const PASSED: StorageEvent = { kind: 'preflight', passed: true, trimmable: true };
const COUNTED: StorageEvent = { kind: 'counted', outdated: 5, untold: 0 };
const FOUND_NONE = { outdated: 0, untold: 0 };
const VERIFIED: StorageEvent[] = [
  { kind: 'agreed' },
  { kind: 'settled' },
  { kind: 'census', ...FOUND_NONE },
  { kind: 'read', failed: 0 },
];
const REWRITTEN: StorageEvent[] = [
  { kind: 'rewriting', pass: 1 },
  { kind: 'rewritten', refused: 0 },
];
const BEGUN: StorageEvent[] = [PASSED, { kind: 'fenced' }, COUNTED];

function after(...events: StorageEvent[]): StorageObserved {
  return events.reduce(advanceStorage, initialStorage());
}

function stepAfter(...events: StorageEvent[]): string {
  const step = decideStorage(after(...events));
  return [step.phase, step.kind, ...(step.kind === 'rewrite' ? [step.pass] : [])].join(' ');
}

describe('the next step of a StorageVersionMigration', () => {
  it.each<[string, StorageEvent[], string]>([
    ['nothing known => preflight', [], 'preflight preflight'],
    ['a check failed => it has failed, and holds nothing', [{ ...PASSED, passed: false }], 'failed finish'],
    ['checks passed => others are shut out', [PASSED], 'preflight fence'],
    ['shut out => versions are counted', [PASSED, { kind: 'fenced' }], 'preflight count'],
    ['objects in old versions => a pass', BEGUN, 'rewrite rewrite 1'],
    [
      'no object in an old version => no pass',
      [PASSED, { kind: 'fenced' }, { ...COUNTED, outdated: 0 }],
      'verify agree',
    ],
    ['rewritten => API servers must agree', [...BEGUN, ...REWRITTEN], 'verify agree'],
    ['they agree => late writes', [...BEGUN, ...REWRITTEN, ...VERIFIED.slice(0, 1)], 'verify settle'],
    ['late writes landed => a census', [...BEGUN, ...REWRITTEN, ...VERIFIED.slice(0, 2)], 'verify census'],
    ['nothing old is left => reads', [...BEGUN, ...REWRITTEN, ...VERIFIED.slice(0, 3)], 'verify read'],
    ['all can be read => a person', [...BEGUN, ...REWRITTEN, ...VERIFIED], 'trim wait'],
    ['approved => one more look', [...BEGUN, ...REWRITTEN, ...VERIFIED, { kind: 'approved' }], 'trim delta'],
    [
      'nothing old was written since => trim',
      [...BEGUN, ...REWRITTEN, ...VERIFIED, { kind: 'approved' }, { kind: 'delta', ...FOUND_NONE }],
      'trim trim',
    ],
    [
      'trimmed => the cluster is given back',
      [...BEGUN, ...REWRITTEN, ...VERIFIED, { kind: 'approved' }, { kind: 'trimmed' }],
      'completed release',
    ],
    [
      'given back => the end',
      [...BEGUN, ...REWRITTEN, ...VERIFIED, { kind: 'approved' }, { kind: 'trimmed' }, { kind: 'freed' }],
      'completed finish',
    ],
    [
      'nothing to trim => the end without a gate',
      [{ ...PASSED, trimmable: false }, ...BEGUN.slice(1), ...REWRITTEN, ...VERIFIED],
      'completed release',
    ],
    [
      'an object refused => it stops, whatever else is known',
      [...BEGUN, { kind: 'rewriting', pass: 1 }, { kind: 'rewritten', refused: 1 }],
      'rewrite stop',
    ],
    [
      'old ones are left => another pass',
      [...BEGUN, ...REWRITTEN, ...VERIFIED.slice(0, 2), { kind: 'census', outdated: 1, untold: 0 }],
      'rewrite rewrite 2',
    ],
    [
      'of some nobody can tell => it stops',
      [...BEGUN, ...REWRITTEN, ...VERIFIED.slice(0, 2), { kind: 'census', outdated: 0, untold: 1 }],
      'verify stop',
    ],
    [
      'a read failed => it stops',
      [...BEGUN, ...REWRITTEN, ...VERIFIED.slice(0, 3), { kind: 'read', failed: 1 }],
      'verify stop',
    ],
    [
      'an old one was written after the approval => another pass, and no trim',
      [...BEGUN, ...REWRITTEN, ...VERIFIED, { kind: 'approved' }, { kind: 'delta', outdated: 1, untold: 0 }],
      'rewrite rewrite 2',
    ],
    [
      'a definition was changed after the approval => all is verified again',
      [...BEGUN, ...REWRITTEN, ...VERIFIED, { kind: 'approved' }, { kind: 'redefined' }],
      'verify agree',
    ],
    [
      'a definition was changed after the last look => all is verified again',
      [
        ...BEGUN,
        ...REWRITTEN,
        ...VERIFIED,
        { kind: 'approved' },
        { kind: 'delta', ...FOUND_NONE },
        { kind: 'redefined' },
      ],
      'verify agree',
    ],
    [
      'paused => writers are shut out before it holds',
      [...BEGUN, { kind: 'held', reason: 'paused' }],
      'rewrite fence',
    ],
    [
      'paused and shut out => it holds',
      [...BEGUN, { kind: 'held', reason: 'paused' }, { kind: 'fenced' }],
      'rewrite hold',
    ],
    [
      'ended by a person => writers are shut out, also of a pass that is held',
      [...BEGUN, { kind: 'held', reason: 'paused' }, { kind: 'fenced' }, { kind: 'stopped' }],
      'stopped release',
    ],
  ])('%s', (_, events, step) => expect(stepAfter(...events)).toBe(step));

  it('is to stop and ask once as many passes left old ones behind', () => {
    const again: StorageEvent[] = Array.from({ length: MAX_STORAGE_PASSES }, (_, i): StorageEvent[] => [
      { kind: 'rewriting', pass: i + 1 },
      { kind: 'rewritten', refused: 0 },
      { kind: 'agreed' },
      { kind: 'settled' },
      { kind: 'census', outdated: 1, untold: 0 },
    ]).flat();
    expect(stepAfter(...BEGUN, ...again)).toBe('verify stop');
    const resumed: StorageEvent[] = [{ kind: 'held', reason: 'x' }, { kind: 'fenced' }, { kind: 'released' }];
    expect(stepAfter(...BEGUN, ...again, ...resumed)).toBe(`rewrite rewrite ${MAX_STORAGE_PASSES + 1}`);
  });
});

describe('the first pass of the engine StorageVersionMigration', () => {
  const natively = (...events: StorageEvent[]): StorageStep =>
    decideStorage([...BEGUN, ...events].reduce(advanceStorage, initialStorage(true)));
  const TRIED: StorageEvent[] = [{ kind: 'trying' }, { kind: 'tried', refused: 0 }];
  const REFUSED: StorageEvent[] = [{ kind: 'trying' }, { kind: 'tried', refused: 2 }];
  const RESUMED: StorageEvent[] = [{ kind: 'held', reason: 'x' }, { kind: 'fenced' }, { kind: 'released' }];

  it.each<[string, StorageEvent[], object]>([
    ['begins with a trial of every conversion', [], { kind: 'try' }],
    ['goes on trying where it was interrupted', [{ kind: 'trying' }, ...RESUMED], { kind: 'try' }],
    ['is handed over once all was tried', TRIED, { kind: 'rewrite', pass: 1, natively: true }],
    ['is not handed over while any is refused', REFUSED, { kind: 'stop', phase: 'rewrite' }],
    ['tries again when a person has mended that', [...REFUSED, ...RESUMED], { kind: 'try' }],
    [
      'goes on with what was handed over',
      [...TRIED, { kind: 'rewriting', pass: 1 }, ...RESUMED],
      { kind: 'rewrite', pass: 1, natively: true },
    ],
    ['is verified as any other', [...TRIED, ...REWRITTEN], { kind: 'agree' }],
    [
      'leaves what it left to the API servers',
      [
        ...TRIED,
        ...REWRITTEN,
        { kind: 'agreed' },
        { kind: 'settled' },
        { kind: 'census', outdated: 1, untold: 0 },
      ],
      { kind: 'rewrite', pass: 2, natively: false },
    ],
    ['is ended by a person amid the trial', [{ kind: 'trying' }, { kind: 'stopped' }], { kind: 'release' }],
  ])('%s', (_, events, step) => expect(natively(...events)).toMatchObject(step));

  it('is none where nothing lies in an old version', () => {
    const events: StorageEvent[] = [PASSED, { kind: 'fenced' }, { ...COUNTED, outdated: 0 }];
    expect(decideStorage(events.reduce(advanceStorage, initialStorage(true))).kind).toBe('agree');
  });
});

describe('what has left the stored versions of a definition', () => {
  const versions = ['v1', 'v2'].map((name) => ({ name, served: true, storage: name === 'v2' }));

  it('can be put back where spec.versions still has it', () => {
    expect(missingVersions(['v0', 'v1', 'v2'], { storedVersions: ['v2'], versions })).toEqual({
      known: ['v1'],
      unknown: ['v0'],
    });
  });
  it('is nothing where all is as it was', () => {
    expect(missingVersions(['v1', 'v2'], { storedVersions: ['v2', 'v1'], versions })).toEqual({
      known: [],
      unknown: [],
    });
  });
});

describe('what is left outside of a storage version', () => {
  it('is what lies in another one, or nobody can tell; of that resource alone', () => {
    const row = (resource: string, apiVersion: string, count: number) => ({ resource, apiVersion, count });
    const rows = [row('a.b', 'b/v2', 5), row('a.b', 'b/v1', 2), row('a.b', 'sealed', 1), row('c', 'v1', 9)];
    expect(outside({ ...NO_VERSIONS, rows }, 'a.b', 'b/v2')).toBe(3);
  });
  it('tells of all how many have arrived, also where a part was looked at', () => {
    const part = { ...NO_VERSIONS, objects: 200, outdated: 40, untold: 10 };
    expect(arrivedOf(part, 200)).toBe(150);
    expect(arrivedOf(part, 2_000)).toBe(1_500);
    expect(arrivedOf(NO_VERSIONS, 0)).toBe(0);
  });
});

describe('no stored version is removed', () => {
  const events: StorageEvent[] = [
    ...BEGUN,
    ...REWRITTEN,
    ...VERIFIED,
    { kind: 'approved' },
    { kind: 'delta', ...FOUND_NONE },
  ];
  it('but after all of this', () => expect(stepAfter(...events)).toBe('trim trim'));
  // That a pass has begun is no evidence; that it ended is.
  const kinds = events.map(({ kind }) => kind).filter((kind) => kind !== 'rewriting');
  it.each(kinds)('without %s', (left) => {
    expect(stepAfter(...events.filter(({ kind }) => kind !== left))).not.toBe('trim trim');
  });
});

describe('a message to a StorageVersionMigration', () => {
  const message = { actor: 'jo', reason: '' };
  const waiting = after(...BEGUN, ...REWRITTEN, ...VERIFIED);
  it.each<[string, ReturnType<typeof admitStorage>, boolean]>([
    ['approves a trim that waits', admitStorage('approve', { ...message, gate: 'trim' }, waiting), true],
    [
      'approves no gate of another kind',
      admitStorage('approve', { ...message, gate: 'cutover' }, waiting),
      false,
    ],
    [
      'approves nothing before its time',
      admitStorage('approve', { ...message, gate: 'trim' }, after(...BEGUN)),
      false,
    ],
    ['ends it before the trim', admitStorage('rollback', message, waiting), true],
    [
      'does not end it after the trim',
      admitStorage('rollback', message, advanceStorage(waiting, { kind: 'trimmed' })),
      false,
    ],
    ['waives nothing', admitStorage('waive', { ...message, object: 'a' }, waiting), false],
    ['resumes nothing that runs', admitStorage('resume', message, waiting), false],
    ['pauses what runs', admitStorage('pause', message, waiting), true],
  ])('%s', (_, verdict, ok) => expect(verdict.ok).toBe(ok));

  it('can be told as a command', () => {
    expect(storageNextSteps(waiting)[0]).toBe('keyferry approve trim --reason "…"');
  });
});
