import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KeyferryError } from '../src/errors.ts';

/** A unix socket's path may have 107 bytes on Linux; the kms provider's temporary names need some of them. */
const MAX_SOCKET_PATH = 100;

/**
 * The folder of the package: the same for the sources and for the build in `dist/`, because what isn't code
 * (`lab/servers`, `deploy`) isn't copied there.
 */
export function packageRoot(): string {
  let dir = import.meta.dirname;
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir);
    if (parent === dir) {
      throw new KeyferryError('FileNotFound', `No package.json above ${import.meta.dirname}.`, {
        remedy: 'Install keyferry anew: files of the package are missing.',
      });
    }
    dir = parent;
  }
  return dir;
}

/** How this keyferry is started: the sources when this runs from the sources, the build when it runs from there. */
export function keyferryMain(): string {
  return import.meta.filename.endsWith('.ts')
    ? join(packageRoot(), 'src/cli/main.ts')
    : join(packageRoot(), 'dist/src/cli/main.js');
}

/** Where everything of a lab lies. All paths are absolute when `dir` is. */
export interface LabPaths {
  readonly dir: string;
  readonly config: string;
  readonly run: string;
  readonly logs: string;
  readonly kubeconfig: string;
  readonly migration: string;
  readonly seed: string;
  readonly pki: string;
  readonly tokens: string;
  readonly etcd: EtcdTlsPaths;
  readonly vault: VaultPaths;
  readonly temporal: string;
  node(name: string): NodePaths;
  log(process: string): string;
}

/** Where etcd speaks TLS: what its members and their clients show, by the names that a migration's spec has. */
export interface EtcdTlsPaths {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface VaultPaths {
  readonly dir: string;
  readonly config: string;
  readonly data: string;
  /** Unseal key and root token, mode 0600. */
  readonly init: string;
  /** The token that plugins use, mode 0600. */
  readonly token: string;
  readonly roleId: string;
  readonly secretId: string;
}

export interface NodePaths {
  readonly dir: string;
  /** `--cert-dir` of the API server. */
  readonly certificates: string;
  /** The serving certificate with its chain: the CA of this server. */
  readonly certificate: string;
  /** In a folder of its own: it is replaced by rename. */
  readonly encryptionConfiguration: string;
  readonly pluginConfiguration: string;
  readonly socket: string;
  readonly sourcePluginConfiguration: string;
  readonly sourceSocket: string;
}

export function labPaths(dir: string): LabPaths {
  const vault = join(dir, 'vault');
  return {
    dir,
    config: join(dir, 'lab.json'),
    run: join(dir, 'run'),
    logs: join(dir, 'logs'),
    kubeconfig: join(dir, 'kubeconfig'),
    migration: join(dir, 'migration.yaml'),
    seed: join(dir, 'seed.json'),
    pki: join(dir, 'pki'),
    tokens: join(dir, 'pki', 'tokens.csv'),
    etcd: {
      caFile: join(dir, 'pki', 'etcd', 'ca.crt'),
      certFile: join(dir, 'pki', 'etcd', 'etcd.crt'),
      keyFile: join(dir, 'pki', 'etcd', 'etcd.key'),
    },
    vault: {
      dir: vault,
      config: join(vault, 'vault.hcl'),
      data: join(vault, 'data'),
      init: join(vault, 'init.json'),
      token: join(vault, 'token'),
      roleId: join(vault, 'role-id'),
      secretId: join(vault, 'secret-id'),
    },
    temporal: join(dir, 'temporal.db'),
    node: (name) => nodePaths(join(dir, 'nodes', name)),
    log: (process) => join(dir, 'logs', `${process}.log`),
  };
}

function nodePaths(dir: string): NodePaths {
  return {
    dir,
    certificates: join(dir, 'apiserver'),
    certificate: join(dir, 'apiserver', 'apiserver.crt'),
    encryptionConfiguration: join(dir, 'encryption', 'config.yaml'),
    pluginConfiguration: join(dir, 'plugin.yaml'),
    socket: join(dir, 'vault.sock'),
    sourcePluginConfiguration: join(dir, 'source-plugin.yaml'),
    sourceSocket: join(dir, 'old.sock'),
  };
}

/** Refuses a folder so deep that the sockets below it could not be opened. */
export function refuseDeepDir(paths: LabPaths, nodes: readonly string[]): void {
  for (const node of nodes) {
    const socket = paths.node(node).socket;
    if (Buffer.byteLength(socket) >= MAX_SOCKET_PATH) {
      throw new KeyferryError(
        'LabDirTooDeep',
        `The socket ${socket} would have ${Buffer.byteLength(socket)} bytes; fewer than ${MAX_SOCKET_PATH} work.`,
        { remedy: 'Choose a shorter folder with --dir, for example one directly below /tmp.' },
      );
    }
  }
}
