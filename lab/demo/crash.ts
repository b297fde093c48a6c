import { chunkObjects, nextChunkObjects } from '../../src/plan/shards.ts';
import { KeyferryError } from '../../src/errors.ts';
import type { Progress } from '../../src/plan/progress.ts';
import { counted, figure } from './narrator.ts';
import { type Scene } from './scene.ts';
import { SHARDS_AT_ONCE } from './set-up.ts';

const KILL_AT = 0.35;
const REFUSED = 77;

/** What is needed to tell, once the pass is over, how much of it was done twice. */
export interface Repeats {
  /** Objects found current before the death: the client had written them with the target. */
  readonly currentBefore: number;
  /** A chunk of each shard that was being walked. */
  readonly bound: { readonly shards: number; readonly chunk: number };
}

/** A cutover that is asked for too early, then a worker's death in the middle of the rewriting. */
export async function crash(scene: Scene): Promise<Repeats> {
  const { lab, narrator, keyferry, watch, proof } = scene;
  narrator.section(
    'Rewriting, and a cutover that comes too early',
    'Every object is now written anew, so that Vault seals it. Taking the old key away before the last one is done would lose the rest for good: keyferry refuses.',
  );
  const { exitCode } = await keyferry.type(['approve', 'cutover', '--reason', 'it looks done'], {
    exitCode: REFUSED,
  });
  proof.claim(exitCode === REFUSED, `the early cutover was refused, with exit code ${exitCode}`);
  narrator.gap();
  const before = await watch.until('a third of the objects', (progress) => reached(progress, KILL_AT));

  narrator.section(
    'The worker is killed',
    'SIGKILL, in the middle of writing: no goodbye, nothing saved. What a shard has done is kept in Temporal, chunk by chunk, so another worker goes on from there.',
  );
  const killed = Date.now();
  narrator.typed(`kill -9 ${lab.pid('worker-1') ?? ''}`);
  await lab.kill('worker-1');
  await keyferry.type(['status']);
  narrator.typed('keyferry worker &');
  await lab.start('worker-2');
  const after = await watch.until(
    'the other worker to go on',
    ({ rewrite }) => rewrite.done > before.rewrite.done,
  );
  narrator.gap();
  const seconds = Math.round((Date.now() - killed) / 1000);
  narrator.say(
    `It was killed at ${figure(before.rewrite.done)} of ${figure(before.rewrite.of)} objects; ${seconds} s later the other one stands at ${figure(after.rewrite.done)}. Nothing starts over.`,
  );
  proof.claim(after.pass === before.pass, 'after the worker was killed, another went on in the same pass');
  const { total, done } = before.shards;
  const shards = Math.min(SHARDS_AT_ONCE, total - done);
  // All but one shard are of Secrets, and about equal.
  const first = chunkObjects(total, Math.ceil(before.rewrite.of / Math.max(1, total - 1)));
  const perShard = (before.throttle?.objectsPerSecond ?? 0) / Math.min(SHARDS_AT_ONCE, total);
  return {
    currentBefore: before.rewrite.current,
    bound: {
      shards,
      chunk: nextChunkObjects(first, { objects: perShard, tookMs: 1_000 }, before.rewrite.of),
    },
  };
}

/** @throws KeyferryError `DemoTooFast` when the rewriting ended first */
export function reached({ phase, rewrite }: Progress, share: number): boolean {
  if (phase !== 'rewrite') {
    throw new KeyferryError(
      'DemoTooFast',
      `The rewriting of ${counted(rewrite.of, 'object')} was over too soon.`,
      {
        remedy: 'Give a larger number to --secrets.',
      },
    );
  }
  return rewrite.of > 0 && rewrite.done >= share * rewrite.of;
}
