import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import { type Journal } from '../journal.ts';
import { showBytes, type Specimen } from './bytes.ts';
import { crash } from './crash.ts';
import { EtcdView } from './etcd-view.ts';
import { cleanUp, cutOver } from './gates.ts';
import { Keyferry } from './keyferry.ts';
import { minutes, Narrator } from './narrator.ts';
import { outage } from './outage.ts';
import { pause } from './pause.ts';
import { Proof } from './proof.ts';
import { type Scene, type Stage } from './scene.ts';
import { putOnStage, startClient, startMigration, untilRewriting } from './set-up.ts';
import { prove } from './verdict.ts';
import { type Rendering } from './watch.ts';

export interface DemoOptions {
  /** By default a fresh folder for temporary files. */
  readonly dir: string | undefined;
  readonly secrets: number;
  /** Leave the lab up at the end. */
  readonly keep: boolean;
  readonly rendering: Rendering;
  /** Aborting takes everything down. */
  readonly signal: AbortSignal;
}

/**
 * Moves a real control plane from a local key to Vault before the reader's eyes, through a worker's death, and proves
 * the outcome.
 *
 * @returns whether everything that was claimed holds
 */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const began = Date.now();
  const narrator = new Narrator();
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'keyferry-demo-'));
  const lab = await putOnStage(narrator, { dir, secrets: options.secrets, signal: options.signal });
  const stage: Stage = {
    lab,
    narrator,
    keyferry: new Keyferry(lab, narrator, options.signal),
    etcd: new EtcdView(lab),
    proof: new Proof(),
    rendering: options.rendering,
    signal: options.signal,
  };
  let holds: boolean;
  try {
    holds = await perform(stage);
  } catch (error) {
    await leave(stage, { up: options.keep, folder: !options.signal.aborted });
    throw error;
  } finally {
    stage.etcd.close();
  }
  narrator.gap();
  narrator.say(`Total time: ${minutes(Date.now() - began)}.`);
  await leave(stage, { up: options.keep, folder: false });
  return holds;
}

async function perform(stage: Stage): Promise<boolean> {
  const specimen: Specimen = await showBytes(stage, 'before');
  const journal: Journal = await startClient(stage);
  try {
    const scene: Scene = { ...stage, journal, watch: await startMigration(stage, journal) };
    try {
      await untilRewriting(scene);
      const repeats = await crash(scene);
      await pause(scene);
      await cutOver(scene);
      await cleanUp(scene);
      await showBytes(stage, 'after', specimen);
      await outage(scene);
      return await prove(scene, repeats);
    } finally {
      scene.watch.stop();
    }
  } finally {
    await journal.stop();
  }
}

/** Takes the lab down, or says how to. After a failure the folder with the logs stays. */
async function leave({ lab, narrator }: Stage, keep: { up: boolean; folder: boolean }): Promise<void> {
  if (keep.up) {
    narrator.gap();
    narrator.say('The lab stays up. To look around, and to take it down:');
    narrator.typed(
      `keyferry lab status --dir ${lab.dir}`,
      `kubectl --kubeconfig ${lab.paths.kubeconfig} get secrets -A`,
      `keyferry lab down --dir ${lab.dir}`,
    );
    return;
  }
  try {
    await lab.down({ keep: keep.folder });
    narrator.say(
      keep.folder
        ? `Everything was stopped. The logs are in ${lab.paths.logs}; remove ${lab.dir} when you have seen them.`
        : 'The lab was taken down; nothing is left behind.',
    );
  } catch (error) {
    narrator.failed(
      `Taking the lab down failed: ${messageOf(error)} Try: keyferry lab down --dir ${lab.dir}`,
    );
  }
}
