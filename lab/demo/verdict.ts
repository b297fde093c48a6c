import type { MigrationReport } from '../../workflows/report.ts';
import type { CensusTally } from '../../src/plan/tally.ts';
import { verifyContent } from '../seed.ts';
import { type Repeats } from './crash.ts';
import { counted, figure } from './narrator.ts';
import { type Scene } from './scene.ts';

/** What was promised, against what is there. @returns whether all of it holds */
export async function prove(scene: Scene, repeats: Repeats): Promise<boolean> {
  const { narrator, proof, lab, keyferry } = scene;
  narrator.section(
    'The proof',
    "Every seeded object is read through each API server and compared with what was seeded; the client's journal is held against what is there; etcd is counted once more.",
  );
  await scene.journal.stop();
  const census = await keyferry.ask<CensusTally & { target: string }>(['census', '-f', lab.paths.migration]);
  const { inTarget, objects, unknown, target } = census;
  proof.claim(
    inTarget === objects && objects > 0 && unknown === 0,
    `census of etcd: ${figure(inTarget)} of ${counted(objects, 'object')} are under ${target}`,
  );
  await proveContent(scene);
  await proveJournal(scene);
  await proveRepeats(scene, repeats);
  const failed = proof.tell(narrator);
  narrator.gap();
  if (failed.length === 0) narrator.say('Everything that was claimed holds.');
  else narrator.failed(`${counted(failed.length, 'claim')} did not hold: ${failed.join('; ')}.`);
  return failed.length === 0;
}

async function proveContent({ lab, proof, signal }: Scene): Promise<void> {
  for (const node of lab.nodes) {
    const { checked, missing, different, unreadable } = await verifyContent(lab, { node, signal });
    const bad = [
      [missing.length, 'missing'],
      [different.length, 'changed'],
      [unreadable.length, 'unreadable'],
    ] as const;
    proof.claim(
      bad.every(([count]) => count === 0),
      `read through ${node}: ${counted(checked, 'object')}, ${bad.map(([count, what]) => `${figure(count)} ${what}`).join(', ')}`,
    );
  }
}

async function proveJournal({ journal, proof }: Scene): Promise<void> {
  const { writes, objects, lost, unreadable, refused } = await journal.check();
  const refusals = Object.values(refused).reduce((sum, count) => sum + count, 0);
  proof.claim(
    lost.length === 0 && unreadable.length === 0 && refusals === 0,
    `the client: writes ${figure(writes)} to ${counted(objects, 'Secret')} · lost ${figure(lost.length)} · unreadable ${figure(unreadable.length)} · refused ${figure(refusals)}`,
  );
}

async function proveRepeats(
  { keyferry, watch, proof }: Scene,
  { currentBefore, bound }: Repeats,
): Promise<void> {
  const report = await keyferry.ask<MigrationReport>(['report', watch.workflowId]);
  const first = report.passes.find(({ side, pass }) => side === 'target' && pass === 1);
  const repeated = (first?.counts.current ?? 0) - currentBefore;
  const most = bound.shards * bound.chunk;
  proof.claim(
    first !== undefined && repeated <= most,
    `repeated ${counted(repeated, 'object')} after the worker's death; at most ${figure(most)} were allowed (a chunk of ${bound.chunk} in each of ${bound.shards} shards)`,
  );
}
