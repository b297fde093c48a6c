/**
 * The matrix of docs/MATRIX.md: a migration from every provider to every other, on real servers.
 *
 * Without options all of it runs, and the table is written. `--labs N` (default 2) journeys run side by side; `--resume` leaves
 * out the legs that have run well (`test/matrix/results`); `--table` only writes the table.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { packageRoot } from '../../lab/paths.ts';
import { pinnedVersion, serverModules } from '../../lab/server-modules.ts';
import { version } from '../../src/cli/version.ts';
import { withCluster, stopAll } from './cluster.ts';
import { isKeyService, journeys, type Journey } from './journey.ts';
import { runLeg, type LegResult } from './leg.ts';
import { renderMatrix } from './table.ts';

const RESULTS = join(import.meta.dirname, 'results');
const TABLE = join(packageRoot(), 'docs', 'MATRIX.md');

const { values: options } = parseArgs({
  options: {
    labs: { type: 'string', default: '2' },
    resume: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
});

if (!options.resume && !options.table) rmSync(RESULTS, { recursive: true, force: true });
mkdirSync(RESULTS, { recursive: true });
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAll().then(() => process.exit(130)));
}
if (!options.table) {
  const outcomes = await Promise.allSettled(journeys(Number(options.labs)).map((one) => travel(one)));
  for (const outcome of outcomes) if (outcome.status === 'rejected') console.error(outcome.reason);
  if (outcomes.some((one) => one.status === 'rejected' || !one.value)) process.exitCode = 1;
}
await writeTable();

/** @returns whether every leg went well; a cluster that one left in disorder isn't used again */
async function travel(journey: Journey): Promise<boolean> {
  const left = journey.slice(alreadyDone(journey));
  const [first] = left;
  if (first === undefined) return true;
  return await withCluster(first.source, async ({ plane, sides }) => {
    for (const leg of left) {
      const result = await runLeg(plane, leg, sides);
      const { source, target, seconds, wrong } = result;
      writeFileSync(join(RESULTS, `${source}-to-${target}.json`), `${JSON.stringify(result, null, 1)}\n`);
      const said = wrong.length === 0 ? 'ok' : `FAILED: ${wrong.join('; ')}`;
      console.log(`${new Date().toISOString().slice(11, 19)} ${source} → ${target}: ${said} (${seconds} s)`);
      if (wrong.length > 0) return false;
    }
    return true;
  });
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
