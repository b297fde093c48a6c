import { describe, expect, test } from '@jest/globals';
import { type Cell, type Drive, REFUSED } from './drive.ts';
import { schedule } from './random.ts';
import { type Row } from './row.ts';
import { judge, judgeRandom, renderTable } from './table.ts';

const blow = { process: 'etcd', fault: 'stop' } as const;

function cell(phase: Cell['phase'], change: Partial<Cell> = {}): Cell {
  const meanwhile = [
    { words: '(no answer)', ms: 900 },
    { words: 'cp-1 to restart', ms: 300 },
    { words: 'etcd did not answer', ms: 500 },
  ];
  return {
    ...blow,
    phase,
    hit: 'etcd',
    began: 0,
    mended: 1,
    meanwhile,
    afterwards: [],
    left: true,
    ...change,
  };
}

function row(cells: readonly Cell[], wrong: readonly string[] = []): Row {
  const drive: Drive = { goal: 'completed', cells, help: [], wrong, objects: 1, writes: 1, seconds: 1 };
  return { ...blow, at: '', drives: [drive] };
}

describe('a cell of the fault table', () => {
  test('is ok where the migration went on and ended well, and says what was waited for longest', () =>
    expect(judge(row([cell('stage')]), 'stage')).toEqual({
      phase: 'stage',
      verdict: 'ok',
      detail: 'etcd did not answer',
    }));

  test('fails where the migration hung', () =>
    expect(judge(row([cell('stage'), cell('rewrite', { left: false })], ['hung']), 'rewrite')).toMatchObject({
      verdict: 'failed',
      detail: 'hung',
    }));

  test.each(['stage', 'verify'] as const)(
    'can’t be told where the migration ended badly after it, or hung before it: %s',
    (phase) =>
      expect(judge(row([cell('stage'), cell('rewrite', { left: false })], ['hung']), phase)?.verdict).toBe(
        'untold',
      ),
  );

  test('fails where the only fault was followed by a loss', () =>
    expect(judge(row([cell('stage')], ['1 writes lost']), 'stage')?.verdict).toBe('failed'));

  test('is not ok where a person had to help', () =>
    expect(judge(row([cell('stage', { neededHelp: 'it stopped' })]), 'stage')?.verdict).toBe('help'));

  test('tells a preflight that found the fault from help', () =>
    expect(judge(row([cell('preflight', { neededHelp: `${REFUSED} (x)` })]), 'preflight')?.verdict).toBe(
      'refused',
    ));

  test('says where the fault fell, if elsewhere', () =>
    expect(judge(row([cell('promote', { fellInto: ['rewrite'] })]), 'promote')?.detail).toBe(
      'etcd did not answer (it fell into rewrite)',
    ));

  test('was not run where nothing is known of it', () =>
    expect(judge(row([cell('stage')]), 'rolling-back')).toBeUndefined());
});

test('the table has a column for each phase, and no line break or bar in a cell', () => {
  const odd = cell('stage', { meanwhile: [{ words: 'a | b\nc', ms: 1 }] });
  const text = renderTable([row([odd])], [], { versions: [], command: 'x' });
  expect(text).toContain('| etcd | stop | – | ok: a \\| b c | – | – | – | – | – | – | – |');
});

describe('a random schedule', () => {
  const nodes = ['cp-1', 'cp-2'];

  test('is the same for the same seed, and another for another', () => {
    expect(schedule(7, nodes)).toEqual(schedule(7, nodes));
    expect(schedule(7, nodes)).not.toEqual(schedule(8, nodes));
  });

  test('has faults that overlap, and never two of one process', () => {
    const planned = schedule(7, nodes);
    const overlap = (a: (typeof planned)[number], b: typeof a): boolean =>
      a !== b && a.after <= b.after && b.after < a.after + a.away;
    const pairs = planned.flatMap((a) => planned.filter((b) => overlap(a, b)).map((b) => [a.hit, b.hit]));
    expect(pairs.length).toBeGreaterThan(0);
    expect(pairs.filter(([a, b]) => a === b)).toEqual([]);
  });

  test('is not passed where a person had to help', () => {
    const [drive] = row([]).drives;
    if (drive === undefined) throw new Error('no drive');
    expect(judgeRandom(drive)).toBe('ok');
    expect(judgeRandom({ ...drive, help: ['it stopped'] })).toBe('help');
    expect(judgeRandom({ ...drive, help: [`${REFUSED} (x)`] })).toBe('refused');
    expect(judgeRandom({ ...drive, wrong: ['lost'] })).toBe('failed');
  });
});
