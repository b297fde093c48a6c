/**
 * The matrix of docs/MATRIX.md: a migration from every provider to every other, and within one kind of provider, on real servers.
 *
 * Without options all of it runs, and the table is written. `--only NAME` (may be repeated) runs one, such as `vault-to-hsm`, after
 * another that leads to its source where no cluster can begin there. `--labs N` (default 2) clusters run side by side; `--resume`
 * leaves out the legs that have run well (`test/matrix/results`); `--table` only writes the table.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { packageRoot } from '../../lab/paths.ts';
import { pinnedVersion, serverModules } from '../../lab/server-modules.ts';
import { version } from '../../src/cli/version.ts';
import { sideBySide } from '../support/side-by-side.ts';
import { MatrixCluster } from './cluster.ts';
import { isKeyService, journeyOf, journeys, nameOf, specialJourney, type Journey } from './journey.ts';
import { runLeg, type LegResult } from './leg.ts';
import { renderMatrix } from './table.ts';

const RESULTS = join(import.meta.dirname, 'results');
const TABLE = join(packageRoot(), 'docs', 'MATRIX.md');

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    labs: { type: 'string', default: '2' },
    resume: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
});

const lanes = Number(options.labs);
// Twice as many as clusters at once: they end at about the same time, and one that ends badly takes less with it.
const chosen =
  options.only.length > 0 ? options.only.map(journeyOf) : [specialJourney(), ...journeys(2 * lanes)];
const running = new Set<MatrixCluster>();
const stopping = new AbortController();

if (!options.resume && !options.table && options.only.length === 0) {
  rmSync(RESULTS, { recursive: true, force: true });
}
mkdirSync(RESULTS, { recursive: true });
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopping.abort();
    void Promise.allSettled([...running].map((cluster) => cluster.down())).then(() => process.exit(130));
  });
}
if (!options.table) {
  const outcomes = await sideBySide(
    lanes,
    chosen.map((one) => () => travel(one)),
  );
  if (outcomes.includes(false)) process.exitCode = 1;
}
await writeTable();

/** @returns whether every leg went well; a cluster that one left in disorder isn't used again */
async function travel(journey: Journey): Promise<boolean> {
  const left = journey.slice(options.resume ? alreadyDone(journey) : 0);
  if (left.length === 0) return true;
  const cluster = await MatrixCluster.up(left, {
    seed: { secrets: 260, configMaps: 40 },
    signal: stopping.signal,
  });
  running.add(cluster);
  try {
    for (const leg of left) {
      const result = await runLeg(cluster, leg);
      const { source, target, seconds, wrong } = result;
      writeFileSync(join(RESULTS, `${nameOf(leg)}.json`), `${JSON.stringify(result, null, 1)}\n`);
      const said = wrong.length === 0 ? 'ok' : `FAILED: ${wrong.join('; ')}`;
      console.log(`${new Date().toISOString().slice(11, 19)} ${source} → ${target}: ${said} (${seconds} s)`);
      if (wrong.length > 0) return false;
    }
    return true;
  } finally {
    running.delete(cluster);
    await cluster.down();
  }
}

/** How many legs of a journey have run well; it is taken up where a cluster can begin, without a key service. */
function alreadyDone(journey: Journey): number {
  const ok = results().filter(({ wrong }) => wrong.length === 0);
  const undone = journey.findIndex(
    ({ source, target }) => !ok.some((one) => one.source === source && one.target === target),
  );
  if (undone < 0) return journey.length;
  return journey.findLastIndex(({ source }, i) => i <= undone && !isKeyService(source));
}

function results(): LegResult[] {
  return readdirSync(RESULTS).map(
    (file) => JSON.parse(readFileSync(join(RESULTS, file), 'utf8')) as LegResult,
  );
}

async function writeTable(): Promise<void> {
  const text = renderMatrix(results(), {
    versions: [
      `keyferry ${version()}`,
      ...Object.values(serverModules).map((server) => `${server.name} ${pinnedVersion(server)}`),
    ],
    command: 'npm run test:matrix',
  });
  const style = await resolveConfig(TABLE);
  writeFileSync(TABLE, await format(text, { ...style, parser: 'markdown' }));
  console.log(`written: ${TABLE}`);
}
