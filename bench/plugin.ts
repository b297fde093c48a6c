// Remote key calls of a plugin and an API server's time to ready, with a local KEK and without: npm run bench:plugin [-- SECRETS [SEEDS [STARTS]]]
//
// Each way has a lab of its own: one API server, a plugin, Vault. SECRETS (10,000) are written through the API server. Then
// API server and plugin are started anew, with nothing in memory, and every Secret is read again; STARTS (3) times. An API server
// makes one DEK seed each time it starts, so that all of them share one: the second half seals them in etcd under SEEDS (500),
// as in a cluster whose API servers have started that often, and starts and reads as before. Calls are counted in Vault's own
// audit log. What is measured goes to bench/results/plugin.json, where the last run of each number of Secrets is kept; calls are
// judged, times aren't.
import { existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lab } from '../lab/lab.ts';
import { seedObjects, verifyContent } from '../lab/seed.ts';
import { waitFor } from '../lab/wait.ts';
import { auditOf, keyCalls, type Audit, type Calls } from './support/audit.ts';
import { kmsLab } from '../test/support/kms-lab.ts';
import { sealUnder } from '../test/support/many-seeds.ts';

const NODE = 'cp-1';
const NAMESPACES = 10;
/** With a local KEK, of a cold start: whatever the number of Secrets and of DEK seeds. */
const MOST_KEY_CALLS = 10;

interface ColdStart {
  /** From the start of the API server to a /readyz that is ok, the plugin running. */
  readonly readyMs: number;
  /** For reading every Secret once, 32 at a time. */
  readonly readMs: number;
  /** From the start of the plugin to the last Secret read. */
  readonly calls: Calls;
}

interface Result {
  readonly localKek: boolean;
  readonly secrets: number;
  /** Under how many DEK seeds the Secrets lie in etcd. */
  readonly seeds: number;
  /** Of writing them: by the API server under one seed, through the plugin's Encrypt under many. */
  readonly written: Calls;
  readonly starts: readonly ColdStart[];
}

async function measure(
  localKek: boolean,
  secrets: number,
  manySeeds: number,
  count: number,
): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), 'kf-'));
  const lab = await kmsLab(join(dir, 'lab'), { key: { localKek: { enabled: localKek } } });
  try {
    const audit = await auditOf(lab);
    const results: Result[] = [];
    await restart(lab);
    const before = audit.mark();
    await seedObjects(lab, { secrets, namespaces: NAMESPACES, large: 0 });
    const written = audit.since(before);
    results.push({ localKek, secrets, seeds: 1, written, starts: await startCold(lab, audit, count) });

    await lab.stop(`${NODE}.apiserver`);
    const again = audit.mark();
    const seeds = await sealUnder(lab, { namespaces: NAMESPACES, seeds: manySeeds });
    const sealed = audit.since(again);
    results.push({ localKek, secrets, seeds, written: sealed, starts: await startCold(lab, audit, count) });
    return results;
  } finally {
    await lab.down();
    rmSync(dir, { recursive: true });
  }
}

async function startCold(lab: Lab, audit: Audit, count: number): Promise<ColdStart[]> {
  const starts: ColdStart[] = [];
  while (starts.length < count) {
    const mark = audit.mark();
    const readyMs = await restart(lab);
    const begun = performance.now();
    const { checked: _, ...wrong } = await verifyContent(lab);
    const readMs = Math.round(performance.now() - begun);
    if (Object.values(wrong).some((objects) => objects.length > 0)) throw new Error(JSON.stringify(wrong));
    starts.push({ readyMs, readMs, calls: audit.since(mark) });
  }
  return starts;
}

/** Both, with nothing in memory. @returns the API server's time to ready in ms */
async function restart(lab: Lab): Promise<number> {
  await lab.stop(`${NODE}.apiserver`);
  await lab.restart(`${NODE}.plugin`);
  const begun = performance.now();
  await lab.start(`${NODE}.apiserver`);
  const api = lab.api(NODE);
  try {
    await waitFor({ what: 'the API server to be ready', timeoutMs: 600_000, intervalMs: 20 }, async () => {
      return (await api.request('GET', '/readyz')).status === 200;
    });
    return Math.round(performance.now() - begun);
  } finally {
    api.close();
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

/** One line for each number of seeds: with a local KEK, without, and how they compare. */
function tableOf(results: readonly Result[]): string {
  const rows = results
    .filter(({ localKek }) => localKek)
    .flatMap((kek) => {
      const none = results.find(({ localKek, seeds }) => !localKek && seeds === kek.seeds);
      if (none === undefined) return [];
      const row = (what: string, of: (start: ColdStart) => number, digits: number) => {
        const [a, b] = [kek, none].map(({ starts }) => median(starts.map(of)));
        if (a === undefined || b === undefined) return '';
        return `| ${kek.secrets} | ${kek.seeds} | ${what} | ${a} | ${b} | ${(b / a).toFixed(digits)} |`;
      };
      return [
        row('remote uses of the key', ({ calls }) => keyCalls(calls), 1),
        row('looks at its versions', ({ calls }) => calls.keys, 1),
        row('time to ready, ms', ({ readyMs }) => readyMs, 2),
        row('all read, ms', ({ readMs }) => readMs, 2),
      ];
    });
  return [
    '| Secrets | DEK seeds | after a cold start (median) | with local KEK | without | ratio |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

/** All that was measured with one number of Secrets. */
interface Run {
  readonly at: string;
  readonly machine: { readonly cores: number; readonly node: string };
  readonly results: readonly Result[];
}

const file = new URL('results/plugin.json', import.meta.url);

function keep(results: readonly Result[]): void {
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Run[]) : [];
  const secretsOf = (run: Run) => run.results[0]?.secrets ?? 0;
  const machine = { cores: availableParallelism(), node: process.version };
  const run: Run = { at: new Date().toISOString(), machine, results };
  const runs = [...kept.filter((one) => secretsOf(one) !== secretsOf(run)), run];
  runs.sort((one, other) => secretsOf(one) - secretsOf(other));
  mkdirSync(new URL('.', file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(runs, undefined, 1)}\n`);
}

const [secrets = 10_000, seeds = 500, count = 3] = process.argv.slice(2).map(Number);
const results: Result[] = [];
for (const localKek of [true, false]) results.push(...(await measure(localKek, secrets, seeds, count)));
keep(results);
console.log(tableOf(results));
for (const { localKek, seeds: under, starts } of results) {
  const most = Math.max(...starts.map(({ calls }) => keyCalls(calls)));
  if (localKek && most > MOST_KEY_CALLS) {
    console.error(`under ${under} DEK seeds a cold start used the remote key ${most} times`);
    process.exitCode = 1;
  }
}
