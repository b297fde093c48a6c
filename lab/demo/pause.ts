import { setTimeout as sleep } from 'node:timers/promises';
import { movedKeys } from './etcd-view.ts';
import { reached } from './crash.ts';
import { counted, figure } from './narrator.ts';
import { type Scene } from './scene.ts';
import { JOURNAL_NAMESPACE } from './set-up.ts';

const PAUSE_AT = 0.65;
const STILL_SECONDS = 6;

/** A pause, and that nothing moves in it. */
export async function pause({ narrator, keyferry, watch, etcd, proof, signal }: Scene): Promise<void> {
  narrator.section(
    'A pause that is one',
    'Somebody may want to look before it goes on. "pausing" turns into "paused" only when every writer has answered: then nothing keyferry does can reach etcd any more, and etcd itself shows it.',
  );
  await watch.until('two thirds of the objects', (progress) => reached(progress, PAUSE_AT));
  await keyferry.type(['pause', '--reason', 'is anything moving?']);
  const paused = await watch.until('every writer to answer', ({ state }) => state === 'paused');

  const first = await etcd.revisions();
  await sleep(STILL_SECONDS * 1000, undefined, { signal });
  const moved = movedKeys(first, await etcd.revisions());
  const own = moved.filter((key) => key.startsWith(`/registry/secrets/${JOURNAL_NAMESPACE}/`)).length;
  const others = moved.length - own;
  const still = `paused at ${figure(paused.rewrite.done)} objects: in ${STILL_SECONDS} s ${figure(others)} of ${counted(first.size, 'object')} moved in etcd (the client's own aside: it moved ${figure(own)})`;
  narrator.gap();
  narrator.say(`${still}.`);
  // That the client's moved shows that a move would have been seen.
  proof.claim(others === 0 && own > 0, still);

  await keyferry.type(['resume', '--reason', 'nothing is']);
}
