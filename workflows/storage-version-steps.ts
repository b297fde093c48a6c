import { CancellationScope, executeChild, sleep, workflowInfo } from '@temporalio/workflow';
import type { StorageStep } from '../src/plan/storage-versions.ts';
import { inEachVersion, oldVersions } from '../src/plan/stored-resource.ts';
import { NO_READS, readEvery } from '../src/plan/tally.ts';
import { outside, type VersionTally } from '../src/plan/version-tally.ts';
import { cluster } from './activities.ts';
import { CHILD } from './child.ts';
import { dropFence, raiseFence } from './fence.ts';
import { fenceOf } from './inputs.ts';
import { preflightInTime } from './preflight-in-time.ts';
import { reads } from './reads.ts';
import { judgeNatives } from './rewrite-natively.ts';
import { keepStored, keepStoredOrHold } from './storage-version-natively.ts';
import { agentsOpening, storageVersionPreflight } from './storage-version-preflight.ts';
import { rewrite, tryConversions } from './storage-version-rewrite.ts';
import type { StorageVersionRun } from './storage-version-run.ts';
import { versions } from './versions.ts';

const POLL = '5s';

/** Carries out one step, and tells the run what came of it. Throws what its activities throw. */
export async function carryOutStorage(step: StorageStep, run: StorageVersionRun): Promise<void> {
  switch (step.kind) {
    case 'preflight':
      await checkAll(run);
      return;
    case 'count': {
      const before = await census(run);
      run.patch({ before });
      run.event({ kind: 'counted', outdated: before.outdated, untold: before.untold });
      return;
    }
    case 'fence':
      await raiseFence(run);
      run.event({ kind: 'fenced' });
      return;
    case 'try':
      await tryConversions(run);
      return;
    case 'rewrite':
      await rewrite(run, step.pass, step.natively);
      return;
    case 'agree':
      await agree(run);
      return;
    case 'settle':
      await settle(run);
      return;
    case 'census': {
      const tally = await census(run);
      run.patch({ census: tally });
      judgeNatives(run, 'target', (name) => outsideOf(run, tally, name), 'in old versions');
      run.event({ kind: 'census', outdated: tally.outdated, untold: tally.untold });
      return;
    }
    case 'read':
      await proveReads(run);
      return;
    case 'wait':
      run.waitFor(step.reason);
      await CancellationScope.current().cancelRequested;
      return;
    case 'delta':
      await delta(run);
      return;
    case 'trim':
      await trim(run);
      return;
    case 'release':
      await release(run);
      run.event({ kind: 'freed' });
      return;
    case 'stop':
    case 'hold':
    case 'finish':
      throw new Error(`"${step.kind}" isn't a step to carry out`);
  }
}

async function checkAll(run: StorageVersionRun): Promise<void> {
  const { checks, stored, known, passed } = await preflightInTime(run, () =>
    storageVersionPreflight(run.input.migration),
  );
  const before = stored.flatMap(({ definition }): [string, string[]][] =>
    definition === undefined ? [] : [[definition.name, definition.storedVersions]],
  );
  run.patch({
    checks,
    stored,
    known,
    resources: stored.map(({ resource }) => resource),
    storedBefore: Object.fromEntries(before),
  });
  run.event({ kind: 'preflight', passed, trimmable: stored.some((one) => oldVersions(one).length > 0) });
}

/** Looks at definitions and API servers: what is verified from now on is of what they say now. */
async function agree(run: StorageVersionRun): Promise<void> {
  if (run.state.native !== undefined && (await keepStoredOrHold(run)) === 'held') return;
  const look = await lookAgain(run);
  if (look === 'held') return;
  if (look.dissenters.length > 0) {
    run.waitFor(`every API server to store the new version: ${look.dissenters.join('; ')}`);
    await sleep(POLL);
    return;
  }
  run.patch({ stored: look.stored, known: look.known, agreedAt: Date.now() });
  run.event({ kind: 'agreed' });
}

async function lookAgain(run: StorageVersionRun) {
  const { stored, known } = run.state;
  const look = await cluster.lookAtStorage({ cluster: run.cluster, stored, known });
  const whys = look.changes.flatMap((change) => (change.kind === 'other' ? [change.why] : []));
  if (whys.length === 0) return look;
  run.note({ actor: 'keyferry', verified: true, what: 'stopped', reason: whys.join('; ') });
  run.hold(`${whys.join('; ')}: put it back and resume; or end this with "rollback", and start another`);
  return 'held' as const;
}

/** How many objects of a resource don't lie in its storage version. */
function outsideOf({ state }: StorageVersionRun, tally: VersionTally, name: string): number {
  const stored = state.stored.find(({ resource }) => resource.name === name);
  return stored === undefined ? 0 : outside(tally, name, stored.resource.apiVersion);
}

async function settle(run: StorageVersionRun): Promise<void> {
  const left = run.state.agreedAt + run.lateWriteMs - Date.now();
  if (left > 0) {
    run.waitFor(`${Math.ceil(left / 1000)} s, for what was written before API servers agreed may still land`);
    await sleep(left);
  }
  run.event({ kind: 'settled' });
}

async function census(run: StorageVersionRun, sinceRevision?: number): Promise<VersionTally> {
  const openedBy = agentsOpening(run.spec.cluster);
  return await executeChild(versions, {
    ...CHILD,
    workflowId: `${workflowInfo().workflowId}/versions`,
    args: [
      {
        cluster: run.cluster,
        resources: run.state.resources,
        ...(sinceRevision === undefined ? {} : { sinceRevision }),
        ...(openedBy.length === 0 ? {} : { openedBy }),
      },
    ],
    staticSummary: 'in which version every object lies',
  });
}

async function proveReads(run: StorageVersionRun): Promise<void> {
  const every = readEvery(run.spec.verify, run.state.census?.objects ?? 0);
  const read =
    every === 0
      ? NO_READS
      : await executeChild(reads, {
          ...CHILD,
          workflowId: `${workflowInfo().workflowId}/reads`,
          args: [{ cluster: run.cluster, resources: run.state.stored.flatMap(inEachVersion), every }],
          staticSummary: 'objects by every served version, through every API server',
        });
  run.patch({ reads: read });
  run.event({ kind: 'read', failed: read.failed });
}

/** Right before the trim: nothing was written in an old version since the census, and nobody changed a definition. */
async function delta(run: StorageVersionRun): Promise<void> {
  const look = await lookAgain(run);
  if (look === 'held') return;
  if (look.dissenters.length > 0 || look.changes.some(({ kind }) => kind === 'redefined')) {
    run.note({
      actor: 'keyferry',
      verified: true,
      what: 'verifies again',
      reason: look.dissenters.join('; ') || 'a definition was changed since its objects were verified',
    });
    run.event({ kind: 'redefined' });
    return;
  }
  const { outdated, untold } = await census(run, run.state.census?.revision ?? 0);
  run.event({ kind: 'delta', outdated, untold });
}

async function trim(run: StorageVersionRun): Promise<void> {
  for (const stored of run.state.stored) {
    const { definition } = stored;
    if (definition === undefined || run.state.trimmed.includes(definition.name)) continue;
    if (!(await cluster.trimStored({ ...fenceOf(run), stored }))) {
      run.event({ kind: 'redefined' });
      return;
    }
    run.patch({ trimmed: [...run.state.trimmed, definition.name] });
    const old = oldVersions(stored);
    if (old.length > 0) {
      run.note({
        actor: 'keyferry',
        verified: true,
        what: `removed ${old.join(', ')} from the stored versions of ${definition.name}`,
      });
    }
  }
  run.event({ kind: 'trimmed' });
}

/** Gives the cluster back. */
async function release(run: StorageVersionRun): Promise<void> {
  if (run.spec.engine === 'StorageVersionMigration') {
    // It may end without a proof.
    if (run.state.native !== undefined) await keepStored(run);
    await cluster.removeNatives(fenceOf(run));
  }
  await dropFence(run);
}
