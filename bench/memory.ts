// How much memory a worker takes, and how long histories get, at 5,000 and at 100,000 Secrets: npm run bench:memory [-- N …]
//
// Each size has a lab of its own (one API server, one worker) that is migrated up to the gate before cutover: rewriting,
// a census, and reads. The worker is that of the build, as users run it: one that runs from the sources also holds the
// bundler that made its workflows. What is measured goes to bench/results/memory.json, sample by sample.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlPlane } from '../test/support/control-plane.ts';
import { startWorker } from './support/built.ts';
import { historyLengths } from '../test/support/history.ts';

const SAMPLE_MS = 500;
interface Sample {
  /** Seconds since the migration began. */
  readonly at: number;
  readonly phase: string;
  readonly rssMiB: number;
}

interface Result {
  readonly objects: number;
  /** Of the worker: before the migration, and at most during it. */
  readonly rssBeforeMiB: number;
  readonly rssMostMiB: number;
  readonly seconds: number;
  /** Shards of the pass, runs of all workflows, and the most events that one of them has. */
  readonly shards: number;
  readonly runs: number;
  readonly mostEvents: { readonly workflowId: string; readonly type: string; readonly events: number };
  readonly samples: readonly Sample[];
}

async function measure(secrets: number): Promise<Result> {
  const plane = await ControlPlane.up({ apiServers: 1, workers: 0, seed: { secrets, large: 2 } });
  const worker = await startWorker(plane.lab);
  try {
    const { pid } = worker;
    if (pid === undefined) throw new Error('the worker has no process');
    const rssBeforeMiB = memoryOf(pid, 'VmRSS');
    const begun = Date.now();
    const migration = await plane.start();
    const samples: Sample[] = [];
    let shards = 0;
    for (;;) {
      const seen = await migration.progress().catch(() => undefined);
      const phase = seen?.phase ?? 'unknown';
      shards = Math.max(shards, seen?.shards.total ?? 0);
      samples.push({
        at: Math.round((Date.now() - begun) / 100) / 10,
        phase,
        rssMiB: memoryOf(pid, 'VmRSS'),
      });
      if (phase === 'soak' && seen?.state === 'waiting') break;
      if (seen?.state === 'paused' || seen?.state === 'finished')
        throw new Error(`it is ${seen.state}: ${seen.waitingFor}`);
      await sleep(SAMPLE_MS);
    }
    const { objects } = await migration.progress();
    const runs = await historyLengths(plane.temporal, migration.workflowId);
    const [mostEvents] = runs;
    if (mostEvents === undefined) throw new Error('Temporal lists no runs');
    return {
      objects: objects.total,
      rssBeforeMiB,
      rssMostMiB: memoryOf(pid, 'VmHWM'),
      seconds: Math.round((Date.now() - begun) / 1000),
      shards,
      runs: runs.length,
      mostEvents,
      samples,
    };
  } finally {
    worker.kill('SIGKILL');
    await plane.down();
  }
}

/** @param field - `VmRSS`, or `VmHWM` for the most there ever was */
function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  )?.[1];
  return Math.round(Number(kib) / 1024);
}

const sizes = process.argv.slice(2).map(Number);
const machine = { cores: availableParallelism(), node: process.version };
const results: Result[] = [];
const folder = new URL('results/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const secrets of sizes.length === 0 ? [5_000, 100_000] : sizes) {
  const result = await measure(secrets);
  results.push(result);
  const { samples: _samples, ...figures } = result;
  console.log(JSON.stringify(figures));
  // After each: a long run that is broken off has measured something all the same.
  writeFileSync(
    new URL('memory.json', folder),
    `${JSON.stringify({ at: new Date().toISOString(), machine, results })}\n`,
  );
}
