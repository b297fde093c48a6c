import { sleep, workflowInfo } from '@temporalio/workflow';
import ms, { type StringValue } from 'ms';
import type { Arrangement } from '../src/plan/arrangement.ts';
import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import { addReads, NO_READS, readEvery } from '../src/plan/tally.ts';
import type { Step } from '../src/plan/transition.ts';
import type { ApiServerSpec } from '../src/spec/migration.ts';
import { about, agentOf, cluster, quick } from './activities.ts';
import { together } from './together.ts';
import { runCensus, runReads } from './run-census.ts';
import type { MigrationRun } from './migration-run.ts';
import { preflight } from './preflight.ts';
import { canaryResources, prove } from './prove.ts';
import { rewrite } from './rewrite.ts';
import { checkWaivers } from './waivers.ts';
import { dropFence, raiseFence } from './fence.ts';
import { fenceOf, look, watch } from './watch.ts';
import type { CensusTally, LoadedResult } from './types.ts';

/** Milliseconds that one look at an API server waits for it to take up its file. */
const LOAD_WAIT_MS = 60_000;
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
      await converge(run, step.servers);
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
  const report = await preflight(run.input.migration);
  run.patch({
    checks: report.checks,
    resources: report.resources,
    canaryResources: report.canaries,
    names: report.names,
    hashes: report.hashes,
  });
  run.event({ kind: 'preflight', passed: report.passed });
}

async function count(run: MigrationRun): Promise<void> {
  const tally = await runCensus(run);
  run.patch({ before: withoutNames(tally), censusRevision: tally.revision });
  run.event({ kind: 'counted' });
}

/** Edits files. The event comes first: from the moment an edit may have been made, a server may be running it. */
async function arrange(
  run: MigrationRun,
  arrangement: Arrangement,
  servers: readonly string[],
): Promise<void> {
  if ((await look(run)) === 'changed') return;
  for (const server of servers) run.event({ kind: 'editing', server, arrangement });
  await together(servers.map((server) => arrangeOne(run, named(run, server), arrangement)));
}

async function arrangeOne(run: MigrationRun, server: ApiServerSpec, arrangement: Arrangement): Promise<void> {
  const node = nodeOf(server);
  run.waitFor(`the agent on ${node} to write the configuration`);
  await agentOf(run.spec.cluster.name, node).arrangeConfiguration({
    ...nodeFile(run.spec, node),
    migrationId: run.state.id,
    arrangement,
    checkedHash: hashOf(run, server, 'source-only'),
  });
}

/** Waits for servers to run their files. What the file of each should be is made sure of first: an edit may have failed. */
async function converge(run: MigrationRun, servers: readonly string[]): Promise<void> {
  const whys = new Map<string, string>();
  const waitingFor = (name: string, why: string | undefined): void => {
    if (why === undefined) whys.delete(name);
    else whys.set(name, why);
    run.waitFor(whys.size === 0 ? undefined : [...whys.values()].join('; '));
  };
  await together(
    servers.map(async (name) => {
      const server = named(run, name);
      const view = run.state.seen.servers.find((one) => one.name === name);
      if (view === undefined) return;
      await arrangeOne(run, server, view.file);
      await load(run, server, view.file, (why) => waitingFor(name, why));
    }),
  );
}

async function load(
  run: MigrationRun,
  server: ApiServerSpec,
  arrangement: Arrangement,
  waitingFor: (why: string | undefined) => void,
): Promise<void> {
  const { state, spec } = run;
  const hash = hashOf(run, server, arrangement);
  const back = state.seen.goal === 'source';
  const byRestart = spec.cluster.encryptionConfiguration.takeUp === 'Restart';
  const lookFor = async (waitMs: number): Promise<LoadedResult> => {
    const seen = await about(server.name).awaitLoaded({
      cluster: spec.cluster,
      apiServer: server.name,
      hash,
      waitMs,
      // On the way back a dead target must not keep the source from writing again.
      leaving: back,
    });
    const how = byRestart ? restartHint(run, server, hash) : '; it looks at its file once a minute';
    waitingFor(seen.converged ? undefined : `${seen.why}${how}`);
    if (seen.converged) {
      run.patch({ loaded: { ...run.state.loaded, [server.name]: seen.loaded } });
      run.event({ kind: 'loaded', server: server.name });
    }
    return seen;
  };
  const first = await lookFor(byRestart ? 0 : LOAD_WAIT_MS);
  if (first.converged) return;
  // No reload takes a file with a dead provider in it: whoever goes back can't wait until it lives.
  const restarts = byRestart || (back && first.refusedReload === true);
  if (restarts && run.state.restarted[server.name] !== hash) {
    waitingFor(`${server.name} to restart`);
    // Not again and again: a server that a restart didn't help needs a person, and serves meanwhile.
    run.patch({ restarted: { ...run.state.restarted, [server.name]: hash } });
    await agentOf(spec.cluster.name, nodeOf(server)).restartApiServer();
  }
  if (restarts) await lookFor(LOAD_WAIT_MS);
}

/** A server that a restart didn't help isn't restarted again and again. */
function restartHint({ state }: MigrationRun, server: ApiServerSpec, hash: string): string {
  if (state.restarted[server.name] !== hash) return '';
  return `; it was restarted for that already: see its log on ${nodeOf(server)}, and pause and resume to restart it again`;
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
  const tally = await runCensus(run, { sinceRevision: run.state.censusRevision });
  run.event({ kind: 'delta', outside: outsideOf(run, tally), unknown: tally.unknown });
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

/** The hash of a server's file in an arrangement. */
function hashOf({ state }: MigrationRun, server: ApiServerSpec, arrangement: Arrangement): string {
  const hash = state.hashes[server.name]?.[arrangement];
  if (hash === undefined) throw new Error(`preflight let ${server.name} pass without its hashes`);
  return hash;
}

function named(run: MigrationRun, name: string): ApiServerSpec {
  const server = run.spec.cluster.apiServers.find((one) => one.name === name);
  if (server === undefined) throw new Error(`no API server ${name} in ${workflowInfo().workflowId}`);
  return server;
}
