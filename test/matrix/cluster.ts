import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlPlane } from '../support/control-plane.ts';
import { isKeyService, type ProviderName } from './journey.ts';
import { KeyServices } from './key-services.ts';
import { KeyFiles, sidesOf, type Side } from './sides.ts';

/** A control plane with a plugin on each node for all key services, and the keys of local providers in files. */
export interface MatrixCluster {
  readonly plane: ControlPlane;
  readonly sides: Readonly<Record<ProviderName, Side>>;
}

/** What was begun and has to be ended, the last first; of all clusters. */
const running = new Set<(() => Promise<void>)[]>();
const stopping = new AbortController();

/** Puts a cluster up that is encrypted by a provider without a key service, and takes it down afterwards. */
export async function withCluster<T>(
  first: ProviderName,
  use: (cluster: MatrixCluster) => Promise<T>,
): Promise<T> {
  if (isKeyService(first)) throw new Error(`an API server can't start with ${first} before its plugin runs`);
  const undo: (() => Promise<void>)[] = [];
  running.add(undo);
  try {
    const dir = mkdtempSync(join(tmpdir(), 'kf-m'));
    undo.push(async () => await rm(dir, { recursive: true, force: true }));
    const files = new KeyFiles(join(dir, 'keys'));
    const plane = await ControlPlane.up({
      plugins: false,
      vault: true,
      signal: stopping.signal,
      seed: { secrets: 260, configMaps: 40 },
      encryptionConfiguration: () => files.configuration(first),
    });
    undo.push(() => plane.down());
    const services = await KeyServices.up(dir, plane.lab);
    undo.push(() => services.down());
    return await use({ plane, sides: sidesOf(files, (name) => services.endpoint(name)) });
  } finally {
    await end(undo);
  }
}

/** For a run that is broken off. */
export async function stopAll(): Promise<void> {
  stopping.abort();
  await Promise.allSettled([...running].map(end));
}

async function end(undo: (() => Promise<void>)[]): Promise<void> {
  for (let last = undo.pop(); last !== undefined; last = undo.pop()) await last();
  running.delete(undo);
}
