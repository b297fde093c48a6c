import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LabConfig } from './config.ts';
import { HttpClient } from './http.ts';
import { binaryOf, notPartOfThisLab } from './launch.ts';
import { labPaths } from './paths.ts';
import { type Launch } from './process.ts';

/** The name of its process. */
export const CONTROLLER_MANAGER = 'controller-manager';

/** What every API server needs so that it serves StorageVersionMigrations. */
export const STORAGE_MIGRATION_FLAGS = [
  '--feature-gates=StorageVersionMigrator=true',
  '--runtime-config=storagemigration.k8s.io/v1beta1=true',
] as const;

/** A kube-controller-manager with the storage version migrator, and the garbage collector whose cache that walks. */
export function controllerManagerLaunch(config: LabConfig): Launch {
  const { port } = config.controllerManager ?? {};
  if (port === undefined) throw notPartOfThisLab(CONTROLLER_MANAGER);
  const paths = labPaths(config.dir);
  const certificates = join(config.dir, CONTROLLER_MANAGER);
  mkdirSync(certificates, { recursive: true });
  return {
    name: CONTROLLER_MANAGER,
    command: binaryOf(config, 'kube-controller-manager'),
    args: [
      `--kubeconfig=${paths.kubeconfig}`,
      '--controllers=storage-version-migrator-controller,garbage-collector-controller',
      '--feature-gates=StorageVersionMigrator=true',
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${certificates}`,
      // It ends when it can't renew its Lease in time, and API servers of a lab are restarted.
      '--leader-elect-lease-duration=60s',
      '--leader-elect-renew-deadline=50s',
    ],
    log: paths.log(CONTROLLER_MANAGER),
    readyWithinMs: 120_000,
    ready: async () => {
      // It makes one for itself at its first start.
      const certificate = join(certificates, 'kube-controller-manager.crt');
      if (!existsSync(certificate)) return false;
      const ca = readFileSync(certificate, 'utf8');
      const client = new HttpClient(`https://127.0.0.1:${port}`, { timeoutMs: 5_000, ca });
      try {
        return (await client.request('GET', '/healthz')).status === 200;
      } finally {
        client.close();
      }
    },
  };
}
