// What rewriting Secrets costs by keyferry's engines, by others, and by the bare loops that nothing can beat: npm run bench [-- SECRETS …]
//
// All on one lab: two API servers, etcd, Vault, a plugin and an agent on each node, one worker, Temporal. Secrets of 1 KiB of data lie
// under aescbc, and go to Vault (kms v2). keyferry migrates and rolls back, engine by engine; its time is that of the phase
// rewrite, with everything that belongs to it. Then both API servers write by Vault, and each of the others does the same work on the
// same objects, which are put under aescbc again before. What is left under aescbc is counted in etcd after each: who leaves
// something has not done the work. Raw results go to bench/results/rewrite.json, and are drawn in bench/results/rewrite.svg.
import { writeFileSync } from 'node:fs';
import { drawRates, medianOf } from './support/draw.ts';
import { patchAll, swapAll } from './support/bare.ts';
import { Bench, type Go } from './support/bench.ts';
import { byKubectl, byNativeMigrator } from './support/others.ts';
import { keepRun, RESULTS } from './support/results.ts';

const CONCURRENCY = 32;
/** A transaction holds 127 objects: few at a time keep watchers from falling behind, for which keyferry would slow down. */
const PACE = {
  Etcd: { concurrency: 4, shards: 4 },
  APIServer: { concurrency: CONCURRENCY, shards: 8 },
} as const;
const ETCD = 'keyferry, engine Etcd';
const APISERVER = 'keyferry, engine APIServer';
const CENSUS = "keyferry's census";
const BARE_SWAP = 'bare compare-and-swap loop';
const BARE_PATCH = 'bare PATCH loop';
const KUBECTL = 'kubectl get | replace';
const NATIVE = 'in-tree migrator';
/** Above this, contenders that need many minutes do a part of the work, and their rate counts. */
const WHOLE_UP_TO = 10_000;

/** One contender's go at it. */
export interface Measured extends Go {
  readonly who: string;
  readonly secrets: number;
  /** Per second. */
  readonly rate: number;
}

const sizes = process.argv.slice(2).map(Number);

async function measure(secrets: number): Promise<Measured[]> {
  const results: Measured[] = [];
  const add = (who: string, go: Go) => {
    const rate = Math.round(go.rewritten / go.seconds);
    results.push({ who, secrets, ...go, rate });
    const cpu = Object.entries(go.cpu ?? {}).map(([name, seconds]) => `${name} ${seconds}`);
    console.log(`${who}: ${go.rewritten} in ${go.seconds.toFixed(1)} s, ${rate}/s; CPU ${cpu.join(', ')}`);
  };
  const bench = await Bench.up(secrets);
  try {
    const rounds = secrets <= WHOLE_UP_TO ? 2 : 1;
    for (let round = 0; round < rounds; round += 1) {
      for (const engine of ['Etcd', 'APIServer'] as const) {
        const { rewriting, census } = await bench.migrateAndBack(engine, { pace: PACE[engine] });
        add(engine === 'Etcd' ? ETCD : APISERVER, rewriting);
        add(CENSUS, census);
      }
    }
    const { lab } = bench.plane;
    if (secrets <= WHOLE_UP_TO) {
      for (const workers of [2, 4]) {
        for (let i = 2; i <= workers; i += 1)
          if (lab.pid(`worker-${i}`) === undefined) await lab.start(`worker-${i}`);
        const { rewriting } = await bench.migrateAndBack('APIServer', { pace: PACE.APIServer });
        add(`${APISERVER}, ${workers} workers`, rewriting);
      }
    }
    await bench.writeByTarget();
    const some = Math.min(secrets, WHOLE_UP_TO);
    for (let round = 0; round < rounds; round += 1) {
      add(
        BARE_SWAP,
        await bench.timed(secrets, async ({ from, to }) => {
          await swapAll(lab, from, to);
        }),
      );
      add(
        BARE_PATCH,
        await bench.timed(secrets, async () => {
          await patchAll(lab, secrets, CONCURRENCY);
        }),
      );
    }
    add(
      KUBECTL,
      await bench.timed(some, async () => {
        await byKubectl(lab, some, secrets);
      }),
    );
    add(NATIVE, await byNativeMigrator(bench, secrets <= WHOLE_UP_TO));
  } finally {
    await bench.down();
  }
  return results;
}

/** The ratios that count: who, against whom, and what was aimed at. */
const RATIOS = [
  [APISERVER, NATIVE, 10],
  [APISERVER, KUBECTL, 3],
  [APISERVER, BARE_PATCH, 0.85],
  [ETCD, NATIVE, 100],
  [ETCD, BARE_SWAP, 0.6],
] as const;

function tableOf(secrets: number, results: readonly Measured[]): string {
  const medians = medianOf(results, secrets);
  const rateOf = (who: string) => medians.find((one) => one.who === who)?.rate ?? NaN;
  return [
    `| ${secrets} Secrets | rate | against | its rate | ratio | aimed at |`,
    '|---|---|---|---|---|---|',
    ...RATIOS.map(([who, whom, aim]) => {
      const ratio = rateOf(who) / rateOf(whom);
      return `| ${who} | ${rateOf(who)}/s | ${whom} | ${rateOf(whom)}/s | ${ratio.toFixed(2)} | ${aim} |`;
    }),
    `| ${CENSUS} | ${rateOf(CENSUS)}/s | | | | 40000/s |`,
  ].join('\n');
}

for (const secrets of sizes.length === 0 ? [10_000, 100_000] : sizes) {
  console.log(`\n${secrets} Secrets`);
  const results = await measure(secrets);
  const runs = keepRun('rewrite.json', { secrets, pace: PACE, results });
  const drawn = runs.flatMap((run) => run.results).filter(({ who }) => who !== CENSUS);
  writeFileSync(new URL('rewrite.svg', RESULTS), drawRates(drawn));
  console.log(`\n${tableOf(secrets, results)}`);
}
