import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Lab } from '../../lab/lab.ts';
import { findServer } from '../../lab/servers.ts';
import type { Bench, Go } from './bench.ts';
import { namespaceOf, NAMESPACES } from './fill.ts';

/**
 * What people do by hand: `kubectl get secrets -o json`, then `kubectl replace`. Over as many namespaces as are needed for the
 * number of Secrets.
 */
export async function byKubectl(lab: Lab, some: number, all: number): Promise<void> {
  const kubectl = await findServer('kubectl', console.log);
  const dir = mkdtempSync(join(tmpdir(), 'kf-'));
  try {
    const context = `admin@${lab.nodes[0] ?? ''}`;
    const connection = ['--kubeconfig', lab.paths.kubeconfig, '--context', context];
    for (let i = 0; i < (NAMESPACES * some) / all; i += 1) {
      const file = join(dir, `${i}.json`);
      const namespace = ['--namespace', namespaceOf(i)];
      await run(kubectl, [...connection, ...namespace, 'get', 'secrets', '-o', 'json'], file);
      await run(kubectl, [...connection, ...namespace, 'replace', '-f', file], `${file}.said`);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** @param output - the file that takes what the program prints */
async function run(program: string, args: readonly string[], output: string): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  await finished(child.stdout.pipe(createWriteStream(output)));
  const code = await ended;
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}

/** The storage version migrator of kube-controller-manager. */
export async function byNativeMigrator(_bench: Bench, _secrets: number): Promise<Go> {
  return await Promise.reject(new Error('not yet'));
}
