import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { explore, type Fault, type Found, type Plan } from './model.test-helper.ts';
import * as state from './state.ts';
import * as transition from './transition.ts';

const plan: Plan = { ...state, ...transition };

const WAYS = ['Reload', 'Restart'] as const;

const FAULTS: readonly Fault[][] = [
  [],
  ['late write'],
  ['server that joins'],
  ['old file put back'],
  ['frozen worker'],
  ['dead plugin'],
  ['key id per server'],
  ['pause'],
  ['pause', 'frozen worker'],
  ['late write', 'old file put back'],
];

describe.each(WAYS)('every history of two API servers that take files up by %s', (takeUp) => {
  describe.each(FAULTS.map((faults) => ({ named: faults.join(' and ') || 'nothing else', faults })))(
    'with lags, crashes, rollbacks, and $named',
    ({ faults }) => {
      let found: Found | undefined;
      const explored = (): Found => (found ??= explore(plan, takeUp, faults));

      it('keeps every object readable through every API server, and no writer once it says so', () =>
        expect({ wrong: explored().wrong, story: explored().story }).toEqual({
          wrong: undefined,
          story: [],
        }));
      it('never gets stuck', () => expect(explored().stuck).toBeUndefined());
      it('can end completed and rolled back', () =>
        expect([...explored().ends].sort()).toEqual(['completed', 'rolled-back']));
      it('was explored, not skipped', () => expect(explored().states).toBeGreaterThan(2_000));
    },
  );

  it('rolls back from before the first write, though the plugins of the target never live again', () =>
    expect(
      explore(plan, takeUp, ['dead plugin'], { looks: true, revives: false }).ends.has('rolled-back'),
    ).toBe(true));
});

interface Guard {
  guard: string;
  /** What is taken out: where one guard stands behind another, both of them. */
  without: readonly Cut[];
  fault?: Fault;
  /** Whether the servers are looked at before each edit all the same. */
  looks?: false;
}

/** Text that stands in a file of the plan, once, and what is left of it. */
type Cut = readonly [file: 'transition.ts' | 'state.ts', was: string, becomes: string];

const NO_CANARY: Cut = ['transition.ts', 'if (seen.proven !== wanted) return', 'if (false) return'];
const NO_NEIGHBOURS: Cut = ['transition.ts', 'if (!safe) return converge(unsettled);', ''];

const GUARDS: readonly Guard[] = [
  {
    guard: 'canaries are read by all before the writer changes',
    without: [NO_CANARY],
    fault: 'key id per server',
  },
  {
    guard: 'no file is edited to what is no neighbour of anything that may run',
    without: [NO_NEIGHBOURS],
  },
  {
    guard: 'the target is read everywhere before it is written anywhere',
    without: [NO_NEIGHBOURS, ['transition.ts', "begun(seen, 'target-writes')\n    ?", 'true\n    ?']],
  },
  {
    guard: 'on the way back, the source is read everywhere before it is written anywhere',
    without: [NO_NEIGHBOURS, ['transition.ts', "if (begun(seen, 'target-only')) {", 'if (false) {']],
  },
  {
    guard: 'an edit is recorded beside what may still run, until it is seen to be loaded',
    looks: false,
    without: [
      NO_CANARY,
      ['state.ts', 'mayRun: [...new Set([...one.mayRun, arrangement])],', 'mayRun: [arrangement],'],
    ],
  },
  {
    guard: 'a side leaves only when census and delta census find nothing that needs it',
    without: [
      ['transition.ts', 'if (census.outside > 0) {', 'if (false) {'],
      ['transition.ts', 'if (seen.delta) return undefined;', 'if (true) return undefined;'],
    ],
  },
  {
    guard: 'the census waits for values that were sealed before the writer changed',
    without: [
      [
        'transition.ts',
        'if (seen.settled || !mayHaveWritten(seen)) return undefined;',
        'if (true) return undefined;',
      ],
    ],
    fault: 'late write',
  },
  {
    guard: 'nothing moves while an API server lives that is not listed',
    without: [['transition.ts', 'if (seen.strangers.length > 0) return', 'if (false) return']],
    fault: 'server that joins',
  },
  {
    guard: 'a server that changed must run its file again before anything else is done',
    without: [['transition.ts', 'if (doubted.length > 0) {', 'if (false) {']],
    fault: 'old file put back',
  },
  {
    guard: 'whatever was proven before a server changed is proven again',
    without: [
      [
        'state.ts',
        'return { ...doubt(seen, event.server), ...UNVERIFIED };',
        'return doubt(seen, event.server);',
      ],
    ],
    fault: 'old file put back',
  },
  {
    guard: 'a change of direction raises the fence',
    without: [['state.ts', 'fenced: false,\n        retreating: undefined,', 'retreating: undefined,']],
    fault: 'frozen worker',
  },
  {
    guard: 'canaries that only the target opens are taken out of etcd before it leaves',
    without: [['transition.ts', 'if (!seen.swept) {', 'if (false) {']],
    fault: 'frozen worker',
  },
];

describe.each(GUARDS)('without this guard: $guard', ({ without, fault, looks = true }) => {
  it('a history goes wrong', async () => {
    const cut = await mutated(without);
    const wrong = WAYS.map(
      (takeUp) => explore(cut, takeUp, fault === undefined ? [] : [fault], { looks, revives: true }).wrong,
    );
    expect(wrong.some((one) => one !== undefined)).toBe(true);
  });
});

describe('without these guards', () => {
  it('a pause that does not raise the fence leaves a writer behind "paused"', async () => {
    const cut = await mutated([['state.ts', 'fenced: false, held: event.reason', 'held: event.reason']]);
    expect(explore(cut, 'Reload', ['pause', 'frozen worker']).wrong).toBe('a writer is left after "paused"');
  });

  it.each<Fault>(['server that joins', 'old file put back'])(
    'servers that are not looked at before each edit and chunk go wrong with a %s',
    (fault) => expect(explore(plan, 'Reload', [fault], { looks: false, revives: true }).wrong).toBeDefined(),
  );
});

/** The plan with a guard taken out. */
async function mutated(cuts: readonly Cut[]): Promise<Plan> {
  const folder = mkdtempSync(join(tmpdir(), 'keyferry-plan-'));
  try {
    for (const name of ['transition.ts', 'state.ts', 'arrangement.ts', 'words.ts'])
      copyFileSync(new URL(name, import.meta.url), join(folder, name));
    for (const [file, was, becomes] of cuts) {
      const text = readFileSync(join(folder, file), 'utf8');
      expect(text.split(was)).toHaveLength(2);
      writeFileSync(join(folder, file), text.replace(was, becomes));
    }
    const load = async (name: string): Promise<object> =>
      (await import(pathToFileURL(join(folder, name)).href)) as object;
    return { ...(await load('state.ts')), ...(await load('transition.ts')) } as Plan;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
