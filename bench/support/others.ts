import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONTROLLER_MANAGER } from '../../lab/controller-manager.ts';
import type { HttpClient } from '../../lab/http.ts';
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

/** How long the migrator is watched where the whole would take too long. */
const PART_MS = 120_000;
const LOOK_MS = 5_000;
const WITHIN_MS = 600_000;
const MIGRATIONS = '/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations';

/**
 * The storage version migrator of kube-controller-manager, with the flags that it has by default. Of many Secrets only its rate is measured,
 * from when the first one was rewritten.
 *
 * @param whole - whether it is to do them all
 */
export async function byNativeMigrator(bench: Bench, whole: boolean): Promise<Go> {
  const { lab } = bench.plane;
  await bench.reset();
  await lab.start(CONTROLLER_MANAGER);
  const api = lab.api();
  const name = 'bench';
  try {
    await api.expect('POST', MIGRATIONS, {
      apiVersion: 'storagemigration.k8s.io/v1beta1',
      kind: 'StorageVersionMigration',
      metadata: { name },
      spec: { resource: { group: '', resource: 'secrets' } },
    });
    const created = performance.now();
    const until = async (fits: () => Promise<boolean>) => {
      while (!(await fits())) {
        if (performance.now() - created > WITHIN_MS) throw new Error('the migrator takes too long');
        await sleep(LOOK_MS);
      }
      return performance.now();
    };
    if (whole) {
      const ended = await until(async () => await hasSucceeded(api, name));
      return { rewritten: await bench.underTarget(), seconds: (ended - created) / 1000 };
    }
    let count = 0;
    const counted = async () => (count = await bench.underTarget());
    const begun = await until(async () => (await counted()) > 0);
    const before = count;
    await sleep(PART_MS);
    return {
      rewritten: (await counted()) - before,
      seconds: (performance.now() - begun) / 1000,
      note: 'a part: from the first one on',
    };
  } finally {
    await api.request('DELETE', `${MIGRATIONS}/${name}`);
    api.close();
    await lab.stop(CONTROLLER_MANAGER);
  }
}

async function hasSucceeded(api: HttpClient, name: string): Promise<boolean> {
  const { text } = await api.expect('GET', `${MIGRATIONS}/${name}`);
  const { status } = JSON.parse(text) as {
    status?: { conditions?: { type: string; status: string; reason?: string }[] };
  };
  const of = (type: string) => status?.conditions?.find((one) => one.type === type);
  if (of('Failed')?.status === 'True')
    throw new Error(`the migrator failed: ${JSON.stringify(of('Failed'))}`);
  return of('Succeeded')?.status === 'True';
}
