import { REFUSED, type Cell, type Drive } from './drive.ts';
import { FAULTS, PROCESSES } from './faults.ts';
import { PHASES, type Phase } from './phases.ts';
import { type RandomRun } from './random.ts';
import { type Row } from './row.ts';
import { NO_ANSWER, type Said } from './witness.ts';

/**
 * `ok`: the migration went on by itself, and at its end nothing was lost or unreadable. `refused`: preflight said no,
 * with nothing changed. `help`: it ended well, but only because a person resumed it. `failed`: it hung there, or
 * it ended badly and this was its only fault. `untold`: it hung or ended badly later, or before it came there.
 */
export type Verdict = 'ok' | 'refused' | 'help' | 'failed' | 'untold';

export interface Judged {
  readonly phase: Phase;
  readonly verdict: Verdict;
  readonly detail: string;
}

export function judge(row: Row, phase: Phase): Judged | undefined {
  const goal = phase === 'rolling-back' ? 'rolled-back' : 'completed';
  const drive = row.drives.find((one) => one.goal === goal);
  if (drive === undefined) return undefined;
  const cell = drive.cells.find((one) => one.phase === phase);
  if (cell === undefined) {
    return drive.wrong.length > 0 ? { phase, verdict: 'untold', detail: 'it never came there' } : undefined;
  }
  return { phase, ...verdictOf(cell, drive) };
}

/** Of a drive under a random schedule: its faults overlap, so that no one of them is to blame. */
export function judgeRandom({ wrong, help }: Drive): Verdict {
  if (wrong.length > 0) return 'failed';
  if (help.some((one) => !one.startsWith(REFUSED))) return 'help';
  return help.length > 0 ? 'refused' : 'ok';
}

/** Whether keyferry kept its word: a preflight that finds the fault does. */
export function isFine(verdict: Verdict): boolean {
  return verdict === 'ok' || verdict === 'refused';
}

function verdictOf(cell: Cell, drive: Drive): { verdict: Verdict; detail: string } {
  if (drive.wrong.length > 0) {
    const alone = drive.cells.length === 1;
    return !cell.left || alone
      ? { verdict: 'failed', detail: drive.wrong.join('; ') }
      : { verdict: 'untold', detail: waitedFor(cell) };
  }
  if (cell.neededHelp?.startsWith(REFUSED) === true) return { verdict: 'refused', detail: cell.neededHelp };
  if (cell.neededHelp !== undefined) return { verdict: 'help', detail: cell.neededHelp };
  const { fellInto } = cell;
  const where = fellInto === undefined ? '' : ` (it fell into ${fellInto.join(', ')})`;
  return { verdict: 'ok', detail: `${waitedFor(cell)}${where}` };
}

/** What it said for longest while the fault lasted; where nobody answered, what it said first afterwards. */
function waitedFor({ meanwhile, afterwards }: Cell): string {
  const answered = (said: readonly Said[]): Said[] => said.filter(({ words }) => words !== NO_ANSWER);
  const [longest] = answered(meanwhile).sort((a, b) => b.ms - a.ms);
  if (longest !== undefined) return longest.words;
  const [first] = answered(afterwards);
  return `nobody answered${first === undefined ? '' : `; then: ${first.words}`}`;
}

const MARKS: Readonly<Record<Verdict, string>> = {
  ok: 'ok',
  refused: 'refused¹',
  help: '**resumed²**',
  failed: '**FAILED**',
  untold: '**can’t be told**',
};

export interface Circumstances {
  /** Names with versions. */
  readonly versions: readonly string[];
  readonly command: string;
}

/** The whole of docs/FAULTS.md. */
export function renderTable(
  rows: readonly Row[],
  randoms: readonly RandomRun[],
  { versions, command }: Circumstances,
): string {
  const inOrder = PROCESSES.flatMap((process) =>
    FAULTS.flatMap((fault) => rows.filter((row) => row.process === process && row.fault === fault)),
  );
  const drives = [...rows, ...randoms].flatMap(({ drives: some }) => some);
  const sum = (of: (drive: Drive) => number): number => drives.reduce((total, one) => total + of(one), 0);
  const lines = [
    '# What a migration survives',
    '',
    `Written by \`${command}\`, on real servers: do not edit.`,
    '',
    'Each row is a fault of one process, given in each phase of a migration that completes, and amid the rewriting of one',
    'that is rolled back, while a client writes through all API servers. *Kill*: SIGKILL, and started again 2 s later. *Stop*:',
    'SIGSTOP, and SIGCONT 17 s later, when every heartbeat is overdue; a second worker is there where a worker is stopped.',
    '**ok**: the migration left the phase by itself, and ended as it should; no acknowledged write was lost, every object',
    'could be read with its content through each API server, and every value in etcd had the format of the side that it',
    'ended on. What follows is what the migration said it waited for longest while the fault lasted.',
    '',
    `| process | fault | ${PHASES.join(' | ')} |`,
    `|${'---|'.repeat(PHASES.length + 2)}`,
    ...inOrder.map((row) => {
      const cells = PHASES.map((phase) => {
        const judged = judge(row, phase);
        return judged === undefined ? '–' : `${MARKS[judged.verdict]}: ${inCell(judged.detail)}`;
      });
      return `| ${row.process} | ${row.fault} | ${cells.join(' | ')} |`;
    }),
    '',
    '¹ Preflight found the fault and named it; nothing had been changed, and the migration was started again.',
    '',
    '² The migration stopped by itself and said why; it went on when a person resumed it.',
    ...details(inOrder),
    '',
    '## Random schedules',
    '',
    ...randoms.flatMap((run) => run.drives.map((one) => `- ${inWords(run.seed, one)}`)),
    '',
    '## How it was made',
    '',
    `- ${versions.join(', ')}`,
    `- ${drives.length} migrations of about ${Math.round(sum(({ objects }) => objects) / Math.max(1, drives.length))} objects each, between two keys of Vault, with two API servers that are restarted to take files up`,
    `- ${sum(({ writes }) => writes)} writes of the client acknowledged`,
    `- ${sum(({ seconds }) => seconds)} s of migrations in all`,
    '',
  ];
  return lines.join('\n');
}

/** What was not as it should be, in full. */
function details(rows: readonly Row[]): string[] {
  const found = rows.flatMap((row) =>
    PHASES.flatMap((phase) => {
      const judged = judge(row, phase);
      if (judged === undefined || judged.verdict === 'ok') return [];
      return [`- ${row.process}, ${row.fault}, ${phase}: ${judged.verdict}: ${oneLine(judged.detail)}`];
    }),
  );
  return found.length === 0 ? [] : ['', '## In full', '', ...found];
}

function inWords(seed: number, one: RandomRun['drives'][number]): string {
  const { goal, schedule, wrong, help, seconds } = one;
  const blows = schedule.map(
    ({ hit, fault, after, away }) =>
      `${fault} ${hit} at ${Math.round(after / 1000)} s for ${Math.round(away / 1000)} s`,
  );
  const outcome =
    wrong.length === 0 ? `${goal} after ${seconds} s, nothing lost or unreadable` : oneLine(wrong.join('; '));
  const helped = help.length === 0 ? '' : ` (${oneLine(help.join('; '))})`;
  return `seed ${seed}: ${MARKS[judgeRandom(one)]}: ${outcome}${helped}: ${blows.join(', ')}`;
}

const CELL_LENGTH = 60;

function inCell(text: string): string {
  const line = oneLine(text);
  return line.length <= CELL_LENGTH ? line : `${line.slice(0, CELL_LENGTH - 1).trimEnd()}…`;
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').replaceAll('|', '\\|');
  return line.length <= 600 ? line : `${line.slice(0, 599)}…`;
}
