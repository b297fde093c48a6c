import { rmSync } from 'node:fs';
import { readConfig } from './config.ts';
import { isEtcd } from './etcd.ts';
import { labPaths } from './paths.ts';
import { ProcessTable } from './process.ts';

/** Nothing that a lab keeps is worth a long goodbye. */
const GRACE_MS = 5_000;

/**
 * Stops all processes of a lab, also of one whose `up` was killed, and removes its folder unless told to keep it.
 * Only processes that the lab started are stopped.
 *
 * @returns the names of the processes that were running
 * @throws KeyferryError `NotFoundLab` when the folder holds no lab: nothing is removed then
 */
export async function takeDown(dir: string, { keep = false } = {}): Promise<string[]> {
  const config = readConfig(dir);
  const paths = labPaths(config.dir);
  const table = new ProcessTable(paths.run);
  const names = table.list().map(({ name }) => name);
  const running = names.filter((name) => table.running(name) !== undefined);
  // etcd last: an API server without it waits instead of ending.
  await Promise.all(names.filter((name) => !isEtcd(name)).map((name) => table.stopAtOnce(name, GRACE_MS)));
  await Promise.all(names.filter(isEtcd).map((name) => table.stopAtOnce(name, GRACE_MS)));
  if (!keep) rmSync(config.dir, { recursive: true, force: true });
  return running;
}
