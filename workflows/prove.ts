import { patched, sleep, uuid4 } from '@temporalio/workflow';
import { writingSide, type Arrangement } from '../src/plan/arrangement.ts';
import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import { agentOf, cluster } from './activities.ts';
import type { MigrationRun } from './migration-run.ts';
import { announce, keyIdOf, steady } from './rotation.ts';
import { fenceOf } from './inputs.ts';
import { look } from './watch.ts';
import type { Resource, SealedCanary } from './types.ts';

/** Shows by canaries that every API server is where its file says, and reads what the other side writes. */
export async function prove(run: MigrationRun, arrangement: Arrangement): Promise<void> {
  const { spec, state } = run;
  const resources = canaryResources(run);
  const nonce = uuid4();
  if (arrangement === 'target-reads' && state.seen.goal === 'target') {
    const canaries = await sealOnEveryNode(run, resources, nonce);
    const proof = await cluster.proveReading({
      ...fenceOf(run),
      namespace: spec.canary.namespace,
      canaries,
    });
    if (!proof.proven) {
      await tryLater(run, proof.why);
      return;
    }
  }
  const side = writingSide(arrangement);
  await announce(run, side);
  const expected = side === 'source' ? run.source : run.target;
  const proof = await cluster.proveWriting({
    cluster: spec.cluster,
    namespace: spec.canary.namespace,
    resources,
    nonce,
    expected,
    names: state.names,
  });
  if (!proof.proven) {
    run.patch({ steadySince: undefined });
    await tryLater(run, proof.why);
    return;
  }
  // A proof is one of the processes that gave it.
  if ((await look(run)) === 'changed') return;
  const [keyId] = proof.keyIds;
  if (keyId !== undefined && (await steady(run, arrangement, keyId)) === 'not yet') return;
  const [keyIdHash] = proof.keyIdHashes ?? [];
  const { seen, writerSince } = run.state;
  // Once rewriting has begun, this proof only shows that the writer is still the same, unless something has changed.
  const stays = seen.rewrite.begun && writerSince !== undefined && patched('writer-stays');
  run.patch({
    ...(stays ? {} : { writerSince: Date.now() }),
    ...(keyId === undefined || side === 'source' ? {} : { keyId }),
    ...(keyIdHash === undefined || expected.type !== 'kms'
      ? {}
      : { sealing: { provider: expected.name, keyIdHash } }),
  });
  run.event({ kind: 'proven', arrangement });
}

/** Each node's plugin seals canaries of its own: every API server must open what any of them sealed. */
async function sealOnEveryNode(
  run: MigrationRun,
  resources: Resource[],
  nonce: string,
): Promise<SealedCanary[]> {
  const { spec } = run;
  const rotateTo = await keyIdOf(run, 'target');
  const sealed = await Promise.all(
    spec.cluster.apiServers.map(async (server) => {
      const purpose = `read-${server.name}`;
      const node = nodeOf(server);
      const { values } = await agentOf(spec.cluster.name, node).sealCanaries({
        target: nodeFile(spec, node).target,
        ...(rotateTo === undefined ? {} : { rotateTo }),
        namespace: spec.canary.namespace,
        resources,
        purpose,
        nonce,
      });
      return resources.map((resource, i) => ({ resource, purpose, nonce, value: values[i] ?? '' }));
    }),
  );
  return sealed.flat();
}

/** The resources that canaries can be made of. */
export function canaryResources(run: MigrationRun): Resource[] {
  return run.state.resources.filter((resource) => run.state.canaryResources.includes(resource.name));
}

/** Says what is waited for; the loop comes back to the same step. */
async function tryLater(run: MigrationRun, why: string): Promise<void> {
  run.waitFor(why);
  await sleep('5s');
}
