import { workflowInfo } from '@temporalio/workflow';
import type { Arrangement } from '../src/plan/arrangement.ts';
import { isRotation } from '../src/plan/rotation.ts';
import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import type { ApiServerSpec } from '../src/spec/migration.ts';
import { about, agentOf } from './activities.ts';
import { troubleOf } from './failures.ts';
import type { MigrationRun } from './migration-run.ts';
import { restartOnce } from './restart-once.ts';
import { together } from './together.ts';
import type { LoadedResult } from './types.ts';
import { look } from './watch.ts';

/** Milliseconds that one look at an API server waits for it to take up its file. */
const LOAD_WAIT_MS = 60_000;

/** Edits files. The event comes first: from the moment an edit may have been made, a server may be running it. */
export async function arrange(
  run: MigrationRun,
  arrangement: Arrangement,
  servers: readonly string[],
): Promise<void> {
  if ((await look(run)) === 'changed') return;
  // Whoever seals may be another from now on.
  run.patch({ sealing: undefined });
  for (const server of servers) run.event({ kind: 'editing', server, arrangement });
  await together(servers.map((server) => arrangeOne(run, named(run, server), arrangement)));
}

async function arrangeOne(run: MigrationRun, server: ApiServerSpec, arrangement: Arrangement): Promise<void> {
  // What a rotation changes is what plugins announce, which comes with the proof.
  if (isRotation(run.spec)) return;
  const node = nodeOf(server);
  run.waitFor(`the agent on ${node} to write the configuration`);
  await agentOf(run.spec.cluster.name, node).arrangeConfiguration({
    ...nodeFile(run.spec, node),
    migrationId: run.state.id,
    arrangement,
    checkedHash: hashOf(run, server, 'source-only'),
    left: run.state.seen.servers.find(({ name }) => name === server.name)?.mayRun ?? [arrangement],
  });
}

/**
 * Waits for servers to run their files. What the file of each should be is made sure of first: an edit may have failed.
 *
 * @returns whether all of them do now
 */
export async function converge(run: MigrationRun, servers: readonly string[]): Promise<boolean> {
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
  return whys.size === 0;
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
  const byRestart = state.seen.takeUp === 'Restart';
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
    await restartOnce(run, server.name, hash, () => restart(run, server, waitingFor));
  }
  if (restarts) await lookFor(LOAD_WAIT_MS);
}

/** Whether the command succeeded says little: what the server runs is looked at afterwards. */
async function restart(
  run: MigrationRun,
  server: ApiServerSpec,
  waitingFor: (why: string | undefined) => void,
): Promise<void> {
  try {
    await agentOf(run.spec.cluster.name, nodeOf(server)).restartApiServer();
  } catch (error) {
    const { code, message } = troubleOf(error);
    if (code !== 'RestartFailed') throw error;
    run.note({
      actor: 'keyferry',
      verified: true,
      what: `restart of ${server.name} failed`,
      reason: message,
    });
    waitingFor(message);
  }
}

/** A server that a restart didn't help isn't restarted again and again. */
function restartHint({ state }: MigrationRun, server: ApiServerSpec, hash: string): string {
  if (state.restarted[server.name] !== hash) return '';
  return `; it was restarted for that already: see its log on ${nodeOf(server)}, and pause and resume to restart it again`;
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
