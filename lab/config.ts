import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { KeyferryError } from '../src/errors.ts';
import { writeByRename } from './files.ts';
import { labPaths } from './paths.ts';
import { type ServerName } from './server-modules.ts';

/** How a lab was put up: all that is needed to start any of its servers again. It holds no secrets. */
export interface LabConfig {
  readonly kind: 'keyferry-lab';
  readonly dir: string;
  /** False while `up` is under way, and after one that was killed. */
  readonly complete: boolean;
  readonly createdAt: string;
  /** The cluster's name in the migration's spec. */
  readonly cluster: string;
  readonly binaries: Readonly<Partial<Record<ServerName, string>>>;
  readonly etcd: EtcdConfig;
  readonly apiServers: readonly ApiServerConfig[];
  /** Whether the lab began with a kms provider, whose plugins have a key of their own; else with an aescbc key. */
  readonly sourcePlugins: boolean;
  /** Shared by all API servers. */
  readonly apiServerOptions: ApiServerOptions;
  /** Present where API servers serve StorageVersionMigrations. */
  readonly controllerManager?: ControllerManagerConfig;
  readonly vault?: VaultConfig;
  readonly temporal?: TemporalConfig;
}

export interface EtcdConfig {
  /** One, or an odd number of them. */
  readonly members: readonly EtcdMemberConfig[];
  readonly quotaBytes: number;
  /** Clients speak TLS, and show a certificate; members among themselves don't. */
  readonly tls: boolean;
}

export interface EtcdMemberConfig {
  /** Of its process and its folder: `etcd`, or `etcd-1` … where there are several. */
  readonly name: string;
  readonly port: number;
  readonly peerPort: number;
}

export interface ApiServerConfig {
  readonly node: string;
  readonly port: number;
  /** Flags of this server alone; they win over those that all have. */
  readonly flags?: readonly string[];
  /** The binary of this server alone; that of all unless given. */
  readonly binary?: string;
  /** Where this server alone finds etcd; at all its members unless given. */
  readonly etcdUrls?: readonly string[];
}

export interface ApiServerOptions {
  /** Take a changed encryption configuration up without a restart. */
  readonly reload: boolean;
  /** `--request-timeout`, in seconds. */
  readonly requestTimeoutSeconds: number;
  /** `--etcd-compaction-interval`, in seconds. */
  readonly etcdCompactionSeconds: number;
  /** How each server gets a host name of its own: what goes before its command line. Empty: they share one. */
  readonly ownHostName: readonly string[];
}

export interface ControllerManagerConfig {
  readonly port: number;
}

export interface VaultConfig {
  readonly port: number;
  readonly clusterPort: number;
}

export interface TemporalConfig {
  readonly port: number;
  readonly uiPort: number;
  readonly httpPort: number;
  readonly metricsPort: number;
}

export const TEMPORAL_NAMESPACE = 'default';
export const TASK_QUEUE = 'keyferry';

/** Reads `lab.json`; also that of a lab that was never finished. */
export function readConfig(dir: string): LabConfig {
  const file = labPaths(resolve(dir)).config;
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new KeyferryError('NotFoundLab', `There is no lab in ${resolve(dir)} (no readable lab.json).`, {
      remedy: 'Put one up with "keyferry lab up", or name its folder with --dir.',
      cause,
    });
  }
  if ((parsed as Partial<LabConfig> | null)?.kind !== 'keyferry-lab') {
    throw new KeyferryError('NotFoundLab', `${file} was not written by keyferry lab.`, {
      remedy: 'Name the folder of a lab with --dir.',
    });
  }
  return parsed as LabConfig;
}

export function writeConfig(config: LabConfig): void {
  writeByRename(labPaths(config.dir).config, `${JSON.stringify(config, null, 2)}\n`);
}
