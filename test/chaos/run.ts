/**
 * The fault table of docs/FAULTS.md: every fault of every process in every phase, and a random schedule.
 *
 * Without options all of it runs, and the table is written. `--process`, `--fault` and `--phase` (each may be repeated)
 * choose rows and columns; whole rows go into the table. `--seed N` runs only the random schedule of that seed.
 * `--labs N` (default 2) rows run side by side; `--resume` leaves out the rows that have run (`test/chaos/results`);
 * `--table` only writes the table.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { packageRoot } from '../../lab/paths.ts';
import { pinnedVersion, serverModules } from '../../lab/server-modules.ts';
import { version } from '../../src/cli/version.ts';
import { sideBySide } from '../support/side-by-side.ts';
import { FAULTS, PROCESSES } from './faults.ts';
import { PHASES, type Phase } from './phases.ts';
import { runRandom, type RandomRun } from './random.ts';
import { labs, runRow, stopping, type Row } from './row.ts';
import { isFine, judge, judgeRandom, renderTable } from './table.ts';

const RESULTS = join(import.meta.dirname, 'results');
const TABLE = join(packageRoot(), 'docs', 'FAULTS.md');
const MAX_SEED = 1_000_000;

const { values: options } = parseArgs({
  options: {
    process: { type: 'string', multiple: true },
    fault: { type: 'string', multiple: true },
    phase: { type: 'string', multiple: true },
    seed: { type: 'string' },
    labs: { type: 'string', default: '2' },
    resume: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
});

mkdirSync(RESULTS, { recursive: true });
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopping.abort();
    void Promise.allSettled([...labs].map((plane) => plane.down())).then(() => process.exit(130));
  });
}
if (!options.table) await run();
await writeTable();

async function run(): Promise<void> {
  const filtered = [options.process, options.fault, options.phase].some((given) => given !== undefined);
  const phases = chosen('phase', options.phase, PHASES);
  const rows = chosen('process', options.process, PROCESSES).flatMap((one) =>
    chosen('fault', options.fault, FAULTS).map((fault) => ({ process: one, fault })),
  );
  const jobs: (() => Promise<boolean>)[] = [];
  if (options.seed === undefined) {
    for (const row of rows) {
      const name = `${row.process}-${row.fault}`;
      if (options.resume && readdirSync(RESULTS).includes(`${name}.json`)) continue;
      jobs.push(async () => {
        const ran = await runRow(row, phases, sayAs(name));
        if (phases.length === PHASES.length) keep(name, ran);
        return report(ran, phases);
      });
    }
  }
  if (options.seed !== undefined || !filtered) {
    const seed = options.seed === undefined ? Math.floor(Math.random() * MAX_SEED) : Number(options.seed);
    if (!Number.isSafeInteger(seed) || seed < 0) refuse('--seed takes a whole number');
    jobs.push(async () => {
      const name = `seed-${seed}`;
      const say = sayAs(name);
      say(`a random schedule; again with --seed ${seed}`);
      const ran = await runRandom(seed, say);
      keep(name, ran);
      for (const one of ran.drives)
        say(`${one.goal}: ${judgeRandom(one)} ${[...one.wrong, ...one.help].join('; ')}`);
      return ran.drives.every((one) => isFine(judgeRandom(one)));
    });
  }
  const outcomes = await sideBySide(Number(options.labs), jobs);
  if (outcomes.includes(false)) process.exitCode = 1;
}

/** A line for each cell. */
function report(row: Row, phases: readonly Phase[]): boolean {
  const say = sayAs(`${row.process}-${row.fault}`);
  const judged = phases.map((phase) => judge(row, phase)).filter((one) => one !== undefined);
  for (const { phase, verdict, detail } of judged) say(`${phase.padEnd(12)} ${verdict.padEnd(7)} ${detail}`);
  for (const { goal, seconds, wrong } of row.drives) {
    say(`${goal} in ${seconds} s${wrong.length === 0 ? '' : `; WRONG: ${wrong.join('; ')}`}`);
  }
  return judged.every(({ verdict }) => isFine(verdict));
}

async function writeTable(): Promise<void> {
  const results = readdirSync(RESULTS).map((file) => readFileSync(join(RESULTS, file), 'utf8'));
  const all = results.map((text) => JSON.parse(text) as Row | RandomRun);
  const text = renderTable(
    all.filter((one) => 'process' in one),
    all.filter((one) => 'seed' in one),
    {
      versions: [
        `keyferry ${version()}`,
        ...Object.values(serverModules).map((server) => `${server.name} ${pinnedVersion(server)}`),
      ],
      command: 'npm run test:chaos',
    },
  );
  const style = await resolveConfig(TABLE);
  writeFileSync(TABLE, await format(text, { ...style, parser: 'markdown' }));
  console.log(`written: ${TABLE}`);
}

function keep(name: string, result: Row | RandomRun): void {
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
}

function chosen<T extends string>(
  option: string,
  given: readonly string[] | undefined,
  all: readonly T[],
): readonly T[] {
  const unknown = given?.find((one) => !(all as readonly string[]).includes(one));
  if (unknown !== undefined) refuse(`--${option} ${unknown}: none of ${all.join(', ')}`);
  return all.filter((one) => given?.includes(one) ?? true);
}

function refuse(why: string): never {
  console.error(why);
  process.exit(64);
}

function sayAs(name: string): (line: string) => void {
  return (line) => console.log(`${new Date().toISOString().slice(11, 19)} ${name.padEnd(18)} ${line}`);
}
