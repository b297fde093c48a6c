import { sleep } from '@temporalio/workflow';
import ms, { type StringValue } from 'ms';
import type { Arrangement, Side } from '../src/plan/arrangement.ts';
import { commonKeyId, mustBeSteady, steadiness } from '../src/plan/rotation.ts';
import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import { agentOf } from './activities.ts';
import type { MigrationRun } from './migration-run.ts';
import { together } from './together.ts';

/** Between two looks at what API servers seal with, while that has to stay as it is. */
const STEADY_POLL_MS = 15_000;

/**
 * Of a rotation: by which key id every node's plugin can announce the version of a side. It is another one than before where a
 * plugin has left that meanwhile.
 */
export async function keyIdOf(run: MigrationRun, side: Side): Promise<string | undefined> {
  const { rotation } = run.state;
  if (rotation === undefined) return undefined;
  const announceable: string[] = [];
  await onEveryNode(run, async (agent, endpoint) => {
    const keyId = await agent.announceableKey({ endpoint, keyId: rotation[side] });
    if (keyId !== undefined) announceable.push(keyId);
  });
  const keyId = commonKeyId(announceable) ?? rotation[side];
  if (keyId !== rotation[side]) run.patch({ rotation: { ...rotation, [side]: keyId } });
  return keyId;
}

/** Of a rotation: has every node's plugin announce the version of a side. Done twice, it ends the same. */
export async function announce(run: MigrationRun, side: Side): Promise<void> {
  const keyId = await keyIdOf(run, side);
  if (keyId === undefined) return;
  await onEveryNode(run, (agent, endpoint) => agent.announceKey({ endpoint, keyId }));
}

async function onEveryNode(
  run: MigrationRun,
  ask: (agent: ReturnType<typeof agentOf>, endpoint: string) => Promise<void>,
): Promise<void> {
  await together(
    run.spec.cluster.apiServers.map(async (server) => {
      const node = nodeOf(server);
      const { target } = nodeFile(run.spec, node);
      if (target.type === 'kms') await ask(agentOf(run.spec.cluster.name, node), target.endpoint);
    }),
  );
}

/** Of a rotation: whether every API server has sealed with this key id for long enough, or is about to be asked again. */
export async function steady(
  run: MigrationRun,
  arrangement: Arrangement,
  keyId: string,
): Promise<'steady' | 'not yet'> {
  const { rotation, seen, steadySince } = run.state;
  if (rotation === undefined || !mustBeSteady(seen, arrangement)) return 'steady';
  const now = Date.now();
  const forMs = ms(run.spec.rotation.steadyFor as StringValue);
  const { since, leftMs } = steadiness(steadySince, keyId, { forMs, now });
  run.patch({ steadySince: since });
  if (leftMs === 0) return 'steady';
  run.waitFor(`every API server to seal with ${keyId} until ${new Date(now + leftMs).toISOString()}`);
  await sleep(Math.min(leftMs, STEADY_POLL_MS));
  return 'not yet';
}
