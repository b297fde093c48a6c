import { sleep } from '@temporalio/workflow';
import ms, { type StringValue } from 'ms';
import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import { addEscrow, addReads, leftIn, NO_READS, readEvery } from '../src/plan/tally.ts';
import type { Step } from '../src/plan/transition.ts';
import { agentOf, cluster, quick } from './activities.ts';
import { together } from './together.ts';
import { censusTarget, runCensus, runReads } from './run-census.ts';
import type { MigrationRun } from './migration-run.ts';
import { preflight } from './preflight.ts';
import { preflightInTime } from './preflight-in-time.ts';
import { canaryResources, prove } from './prove.ts';
import { rewrite } from './rewrite.ts';
import { judgeNatives } from './rewrite-natively.ts';
import { checkWaivers } from './waivers.ts';
import { arrange, converge } from './converge.ts';
import { dropFence, raiseFence } from './fence.ts';
import { fenceOf } from './inputs.ts';
import { look, watch } from './watch.ts';
import type { CensusTally } from './types.ts';

const COMPACTION_POLL = '5s';
const STRANGER_POLL = '10s';

/** Carries out one step, and tells the run what came of it. Throws what its activities throw. */
export async function carryOut(step: Step, run: MigrationRun): Promise<void> {
  switch (step.kind) {
    case 'preflight':
      await checkAll(run);
      return;
    case 'count':
      await count(run);
      return;
    case 'arrange':
      await arrange(run, step.arrangement, step.servers);
      return;
    case 'converge':
      if (!(await converge(run, step.servers))) await lookForWhatNeedsIt(run);
      return;
    case 'canary':
      await prove(run, step.arrangement);
      return;
    case 'rewrite':
      await rewrite(run, step.pass);
      return;
    case 'settle':
      await settle(run);
      return;
    case 'census':
      await takeCensus(run);
      return;
    case 'read':
      await proveReads(run);
      return;
    case 'soak':
      await soak(run);
      return;
    case 'compaction':
      await awaitCompaction(run);
      return;
    case 'cleanup':
      await cleanUp(run);
      return;
    case 'fence':
      await raiseFence(run);
      run.event({ kind: 'fenced' });
      return;
    case 'release':
      await dropFence(run);
      run.event({ kind: 'freed' });
      return;
    case 'delta':
      await takeDelta(run);
      return;
    case 'look':
      await lookAgain(run);
      return;
    case 'sweep':
      await sweep(run);
      return;
    case 'wait':
      run.waitFor(step.reason);
      await watch(run);
      return;
    case 'stop':
    case 'hold':
    case 'finish':
      throw new Error(`"${step.kind}" isn't a step to carry out`);
  }
}

async function checkAll(run: MigrationRun): Promise<void> {
  const report = await preflightInTime(run, () => preflight(run.input.migration));
  run.patch({
    checks: report.checks,
    resources: report.resources,
    canaryResources: report.canaries,
    names: report.names,
    hashes: report.hashes,
    ...(report.rotation === undefined ? {} : { rotation: report.rotation }),
  });
  run.event({ kind: 'preflight', passed: report.passed });
}

async function count(run: MigrationRun): Promise<void> {
  const tally = await runCensus(run);
  run.patch({ before: withoutNames(tally), censusRevision: tally.revision });
  run.event({ kind: 'counted' });
}

async function settle(run: MigrationRun): Promise<void> {
  const left = (run.state.writerSince ?? 0) + run.lateWriteMs - Date.now();
  if (left > 0) {
    run.waitFor(
      `${Math.ceil(left / 1000)} s, for values that were sealed before the writer changed may still land`,
    );
    await sleep(left);
  }
  run.event({ kind: 'settled' });
}

async function takeCensus(run: MigrationRun): Promise<void> {
  await checkWaivers(run);
  const tally = await runCensus(run);
  run.patch({
    census: withoutNames(tally),
    censusRevision: tally.revision,
    toRead: tally.representatives,
  });
  const { goal } = run.state.seen;
  judgeNatives(run, goal, (resource) => leftIn(tally, resource, censusTarget(run), goal), 'outside');
  run.event({ kind: 'census', outside: outsideOf(run, tally), unknown: tally.unknown });
}

async function proveReads(run: MigrationRun): Promise<void> {
  const { spec, state } = run;
  let whole = addReads(
    NO_READS,
    await cluster.readObjects({ cluster: spec.cluster, resources: state.resources, objects: state.toRead }),
  );
  const every = readEvery(spec.verify, state.census?.objects ?? 0);
  if (every > 0) whole = addReads(whole, await runReads(run, every));
  run.patch({ reads: whole });
  run.event({ kind: 'read', failed: whole.failed });
}

/** Of what was written since the last census: what it found holds on, unless something of this says otherwise. */
async function takeDelta(run: MigrationRun): Promise<void> {
  const tally = await runDelta(run);
  run.event({ kind: 'delta', outside: outsideOf(run, tally), unknown: tally.unknown });
}

/**
 * Where a side is leaving, and a server doesn't come up without it, something may need it after all: an API server with
 * objects that it can't read never gets ready. Then it has to go back at once.
 */
async function lookForWhatNeedsIt(run: MigrationRun): Promise<void> {
  if (!run.state.seen.leaving) return;
  const tally = await runDelta(run);
  const outside = outsideOf(run, tally);
  if (outside > 0) run.event({ kind: 'delta', outside, unknown: tally.unknown });
}

/** A delta census. Who can open what was written since joins those that the last census found. */
async function runDelta(run: MigrationRun): Promise<CensusTally> {
  const tally = await runCensus(run, { sinceRevision: run.state.censusRevision });
  const { census } = run.state;
  const escrow = addEscrow(census?.escrow, tally.escrow);
  if (census !== undefined && escrow !== undefined) run.patch({ census: { ...census, escrow } });
  return tally;
}

/** Objects that need the side that is left. */
function outsideOf({ state }: MigrationRun, tally: CensusTally): number {
  return state.seen.goal === 'target' ? tally.objects - tally.inTarget - tally.unknown : tally.inTarget;
}

async function lookAgain(run: MigrationRun): Promise<void> {
  const { strangers } = run.state.seen;
  if (strangers.length > 0) {
    run.waitFor(run.step().reason);
    await sleep(STRANGER_POLL);
  }
  if ((await look(run)) === 'same' && strangers.length === 0) run.event({ kind: 'unchanged' });
}

async function sweep(run: MigrationRun): Promise<void> {
  const resources = canaryResources(run);
  await cluster.takeCanaries({ ...fenceOf(run), namespace: run.spec.canary.namespace, resources });
  run.event({ kind: 'swept' });
}

async function soak(run: MigrationRun): Promise<void> {
  const until = run.state.soakUntil || Date.now() + ms(run.spec.gates.soak as StringValue);
  run.patch({ soakUntil: until });
  const left = until - Date.now();
  if (left > 0) {
    run.waitFor(`the soak to end at ${new Date(until).toISOString()}`);
    if ((await watch(run, left)) === 'changed' || until > Date.now()) return;
  }
  run.event({ kind: 'soaked' });
}

async function awaitCompaction(run: MigrationRun): Promise<void> {
  const revision = run.state.rewrittenAt;
  if (revision === 0 || (await quick.compactedPast({ cluster: run.spec.cluster, revision }))) {
    run.event({ kind: 'compacted' });
    return;
  }
  run.waitFor(
    `etcd to be compacted past revision ${revision} (API servers do so every 5 minutes, if not told otherwise)`,
  );
  await sleep(COMPACTION_POLL);
}

async function cleanUp(run: MigrationRun): Promise<void> {
  const { spec, state } = run;
  const resources = canaryResources(run);
  await cluster.removeCanaries({ ...fenceOf(run), namespace: spec.canary.namespace, resources });
  if (spec.engine === 'StorageVersionMigration') await cluster.removeNatives(fenceOf(run));
  // A rotation keeps no files.
  if (state.rotation !== undefined) {
    run.event({ kind: 'cleaned' });
    return;
  }
  await together(
    spec.cluster.apiServers.map(async (server) => {
      const node = nodeOf(server);
      const { file } = nodeFile(spec, node);
      await agentOf(spec.cluster.name, node).dropKept({ file, migrationId: state.id });
    }),
  );
  run.event({ kind: 'cleaned' });
}

/** The names of what is to be read stay out of what is kept and shown. */
function withoutNames(tally: CensusTally): CensusTally {
  return { ...tally, representatives: [] };
}
