import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { TASK_QUEUE } from '../../lab/config.ts';
import { saysReady } from '../../lab/keyferry-processes.ts';
import type { Lab } from '../../lab/lab.ts';
import { temporalAddress } from '../../lab/temporal.ts';

/** As in a container with a limit of 1 GiB: without a limit V8 lets garbage lie for as long as the machine has room. */
const HEAP_MIB = 256;

/**
 * Processes of keyferry as users run them: of the build, with a limit. One that runs from the sources also holds the bundler
 * that made its workflows.
 */
export async function startWorker(lab: Lab): Promise<ChildProcess> {
  return await started(['worker', ...temporalOf(lab), '--task-queue', TASK_QUEUE]);
}

export async function startAgent(lab: Lab, node: string): Promise<ChildProcess> {
  return await started(['agent', ...temporalOf(lab), '--cluster', lab.config.cluster, '--node', node]);
}

function temporalOf(lab: Lab): string[] {
  return ['--temporal-address', temporalAddress(lab.config)];
}

async function started(args: readonly string[]): Promise<ChildProcess> {
  const keyferry = fileURLToPath(new URL('../../bin/keyferry.js', import.meta.url));
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, keyferry, ...args], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8');
  while (!saysReady(log)) {
    const [text] = (await once(child.stderr, 'data')) as [string];
    log += text;
  }
  child.stderr.resume();
  return child;
}
