// A whole migration by the engine Etcd, preflight to completed, and what it takes: npm run bench:million, npm run bench:growth [-- SECRETS …]
//
// Each number of Secrets has a lab of its own. They have 1 KiB of data, and go from aescbc to Vault (kms v2). API servers take their
// files up by reloading; two up to 100,000 Secrets, above that one, for each holds all of them in memory. keyferry's processes are
// those of the build, each with a heap of 256 MiB at most. Everything is as in Kubernetes by default (requests may take 60 s, for
// which verify waits), but that etcd is compacted every minute. Memory is looked at each second. Raw results go to
// bench/results/whole.json, where the last run of each number of Secrets is kept.
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlPlane } from '../test/support/control-plane.ts';
import { historyLengths, type RunLength } from '../test/support/history.ts';
import type { RunningMigration } from '../test/support/running-migration.ts';
import type { MigrationReport } from '../workflows/report.ts';
import { auditOf, keyCalls } from './support/audit.ts';
import { startAgent, startWorker } from './support/built.ts';
import { fillSecrets } from './support/fill.ts';
import { useOf, useOfProcess, type ProcessUse } from './support/processes.ts';
import { keepRun } from './support/results.ts';

/** Few transactions at a time, and not as many objects as two cores would take, keep watchers from falling behind, for which keyferry would slow down. */
const PACE = { concurrency: 4, shards: 4, objectsPerSecond: 4_000 };
const SAMPLE_MS = 1_000;
const TWO_API_SERVERS_UP_TO = 100_000;
/** Of the whole, and of each answer of Temporal. */
const WITHIN_MS = 3_600_000;

interface Sample {
  /** Seconds since the migration began. */
  readonly at: number;
  readonly phase: string;
  /** What it was waiting for, where it told. */
  readonly waitingFor?: string;
  /** What slowed it down, or made it pause. */
  readonly slowed: readonly string[];
  /** MiB, by process: anonymous memory, which doesn't count the pages of etcd's file. */
  readonly memory: Readonly<Record<string, number>>;
}

interface Result {
  readonly secrets: number;
  readonly apiServers: number;
  /** Seconds of each phase, in order. */
  readonly phases: readonly { readonly phase: string; readonly seconds: number }[];
  readonly rewriting: { readonly seconds: number; readonly rate: number };
  /** Of the census of verify. */
  readonly census: { readonly seconds: number; readonly rate: number };
  /** From the beginning of rewrite to the end of verify. */
  readonly rewriteAndVerifySeconds: number;
  /** Uses of the key in Vault, by everybody. */
  readonly keyCalls: number;
  /** MiB at most, of keyferry's processes and of the others. */
  readonly mostMemory: Readonly<Record<string, number>>;
  readonly cpuSeconds: Readonly<Record<string, number>>;
  readonly runs: number;
  readonly events: number;
  readonly mostEvents: RunLength;
  readonly samples: readonly Sample[];
}

async function measure(secrets: number): Promise<Result> {
  const apiServers = secrets <= TWO_API_SERVERS_UP_TO ? 2 : 1;
  const plane = await ControlPlane.up({
    apiServers,
    reload: true,
    agents: false,
    workers: 0,
    requestTimeoutSeconds: 60,
    etcdCompactionSeconds: 60,
  });
  const { lab } = plane;
  const own = new Map<string, number>();
  const start = async (name: string, process: ReturnType<typeof startWorker>) => {
    const { pid } = await process;
    if (pid !== undefined) own.set(name, pid);
  };
  try {
    console.log('Secrets are put into etcd');
    await fillSecrets(lab, secrets);
    await start('worker', startWorker(lab));
    for (const node of lab.nodes) await start(`${node}.agent`, startAgent(lab, node));
    const audit = await auditOf(lab);
    const mark = audit.mark();
    console.log('the migration begins');
    const migration = await plane.start({
      spec: {
        resources: ['secrets'],
        engine: 'Etcd',
        pace: PACE,
        gates: { cutover: 'Auto', cleanup: 'Auto' },
      },
    });
    const uses = async () => ({
      ...(await useOf(lab)),
      ...Object.fromEntries([...own].map(([name, pid]) => [name, useOfProcess(pid)])),
    });
    const watched = await watch(migration, uses);
    const report = await migration.report(WITHIN_MS);
    const runs = await historyLengths(plane.temporal, migration.workflowId);
    return {
      secrets,
      apiServers,
      ...timesOf(report, await censusSeconds(plane, migration)),
      ...watched,
      keyCalls: keyCalls(audit.since(mark)),
      runs: runs.length,
      events: runs.reduce((sum, { events }) => sum + events, 0),
      mostEvents: runs[0] ?? { workflowId: '', type: '', events: NaN },
    };
  } finally {
    for (const pid of own.values()) process.kill(pid, 'SIGKILL');
    await plane.down();
  }
}

/** Follows a migration to its end. */
async function watch(
  migration: RunningMigration,
  uses: () => Promise<Record<string, ProcessUse>>,
): Promise<Pick<Result, 'samples' | 'mostMemory' | 'cpuSeconds'>> {
  const begun = Date.now();
  const before = await uses();
  const samples: Sample[] = [];
  let last = before;
  for (let said = ''; ;) {
    const seen = await migration.progress().catch(() => undefined);
    const phase = seen?.phase ?? 'unknown';
    last = await uses();
    const memory = Object.fromEntries(Object.entries(last).map(([name, { anonymous }]) => [name, anonymous]));
    const slowed = [...(seen?.throttle?.slowed ?? []), ...(seen?.shards.stalled ?? [])];
    const at = Math.round((Date.now() - begun) / 100) / 10;
    samples.push({ at, phase, ...(seen?.waitingFor ? { waitingFor: seen.waitingFor } : {}), slowed, memory });
    if (phase !== said) console.log(`${String(samples.at(-1)?.at)} s: ${phase}`);
    said = phase;
    if (seen?.state === 'paused') throw new Error(`it stands still: ${seen.waitingFor}`);
    if (seen?.state === 'finished') break;
    await sleep(SAMPLE_MS);
  }
  const names = Object.keys(last);
  return {
    samples,
    mostMemory: Object.fromEntries(
      names.map((name) => [name, Math.max(...samples.map(({ memory }) => memory[name] ?? 0))]),
    ),
    cpuSeconds: Object.fromEntries(
      names.map((name) => [name, Math.round((last[name]?.cpu ?? 0) - (before[name]?.cpu ?? 0))]),
    ),
  };
}

async function censusSeconds(plane: ControlPlane, { workflowId }: RunningMigration): Promise<number> {
  // That of verify is the longest but the one before anything was changed, which counts the same.
  let longest = 0;
  const query = `WorkflowId = "${workflowId}/census" AND ExecutionStatus = "Completed"`;
  for await (const { startTime, closeTime } of plane.temporal.workflow.list({ query })) {
    longest = Math.max(longest, ((closeTime?.getTime() ?? 0) - startTime.getTime()) / 1000);
  }
  return longest;
}

function timesOf(
  { outcome, passes, after, timeline, finishedAt }: MigrationReport,
  censusTook: number,
): Pick<Result, 'phases' | 'rewriting' | 'census' | 'rewriteAndVerifySeconds'> {
  if (outcome !== 'completed' || passes.length !== 1 || after?.inTarget !== after?.objects) {
    throw new Error(`it ended as ${outcome} after ${passes.length} passes`);
  }
  const begins = timeline.flatMap(({ what, at }) =>
    what.startsWith('phase ') ? [{ phase: what.slice('phase '.length), at }] : [],
  );
  const phases = begins.map(({ phase, at }, i) => ({
    phase,
    seconds: ((begins[i + 1]?.at ?? finishedAt) - at) / 1000,
  }));
  const of = (name: string) => phases.find(({ phase }) => phase === name)?.seconds ?? NaN;
  const objects = after?.objects ?? NaN;
  return {
    phases,
    rewriting: { seconds: of('rewrite'), rate: Math.round(objects / of('rewrite')) },
    census: { seconds: censusTook, rate: Math.round(objects / censusTook) },
    rewriteAndVerifySeconds: of('rewrite') + of('verify'),
  };
}

for (const secrets of process.argv.slice(2).map(Number)) {
  console.log(`\n${secrets} Secrets`);
  const result = await measure(secrets);
  keepRun('whole.json', { ...result, pace: PACE });
  const { samples: _samples, ...figures } = result;
  console.log(JSON.stringify(figures, undefined, 1));
}
