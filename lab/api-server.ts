import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ApiServerConfig, type LabConfig } from './config.ts';
import { etcdUrls } from './etcd.ts';
import { writeByRename } from './files.ts';
import { HttpClient } from './http.ts';
import { binaryOf, notPartOfThisLab } from './launch.ts';
import { labPaths, type LabPaths } from './paths.ts';
import { type Launch } from './process.ts';

/** Who may ask the API servers: everything, or only what keyferry needs (deploy/rbac.yaml). */
export type LabUser = 'admin' | 'keyferry';

export function apiServerUrl(server: ApiServerConfig): string {
  return `https://127.0.0.1:${server.port}`;
}

export function apiServerOf(config: LabConfig, node: string): ApiServerConfig {
  const server = config.apiServers.find((candidate) => candidate.node === node);
  if (server === undefined) throw notPartOfThisLab(`the node ${node}`);
  return server;
}

export function apiServerLaunch(config: LabConfig, node: string): Launch {
  const server = apiServerOf(config, node);
  const { reload, requestTimeoutSeconds, etcdCompactionSeconds, ownHostName } = config.apiServerOptions;
  const paths = labPaths(config.dir);
  const own = paths.node(node);
  const words = [
    ...(ownHostName.length === 0 ? [] : [...ownHostName, 'sh', '-c', 'hostname "$0" && exec "$@"', node]),
    server.binary ?? binaryOf(config, 'kube-apiserver'),
    `--etcd-servers=${(server.etcdUrls ?? etcdUrls(config)).join(',')}`,
    ...(config.etcd.tls
      ? [
          `--etcd-cafile=${paths.etcd.caFile}`,
          `--etcd-certfile=${paths.etcd.certFile}`,
          `--etcd-keyfile=${paths.etcd.keyFile}`,
        ]
      : []),
    `--etcd-compaction-interval=${etcdCompactionSeconds}s`,
    '--bind-address=127.0.0.1',
    `--secure-port=${server.port}`,
    `--cert-dir=${own.certificates}`,
    `--service-account-key-file=${join(paths.pki, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(paths.pki, 'sa.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--token-auth-file=${paths.tokens}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--endpoint-reconciler-type=none',
    `--request-timeout=${requestTimeoutSeconds}s`,
    `--encryption-provider-config=${own.encryptionConfiguration}`,
    `--encryption-provider-config-automatic-reload=${reload}`,
    ...(server.flags ?? []),
  ];
  const [command = '', ...args] = words;
  const name = `${node}.apiserver`;
  return {
    name,
    command,
    args,
    log: paths.log(name),
    // With a million objects it takes minutes to read them all.
    readyWithinMs: 300_000,
    ready: async () => {
      const client = apiClient(config, node, 'admin', { timeoutMs: 5_000 });
      try {
        return (await client.request('GET', READY)).status === 200;
      } finally {
        client.close();
      }
    },
  };
}

/** A dead kms provider must not keep a server from being restarted: that may be the very way away from it. */
const READY = `/readyz?${['kms-providers', 'kms-provider-0', 'kms-provider-1'].map((check) => `exclude=${check}`).join('&')}`;

/**
 * A client of one API server, which trusts that server's own certificate only. Close it after use.
 *
 * @throws when the server never ran: its certificate is made at its first start
 */
export function apiClient(
  config: LabConfig,
  node: string,
  user: LabUser = 'admin',
  options: { timeoutMs?: number; maxSockets?: number } = {},
): HttpClient {
  const paths = labPaths(config.dir);
  return new HttpClient(apiServerUrl(apiServerOf(config, node)), {
    ca: readFileSync(paths.node(node).certificate, 'utf8'),
    headers: { authorization: `Bearer ${readToken(paths, user)}` },
    ...options,
  });
}

/** What the API servers share: tokens, and the keys that sign service account tokens. */
export function writePki(config: LabConfig): void {
  const paths = labPaths(config.dir);
  const token = () => randomBytes(24).toString('base64url');
  writeByRename(paths.tokens, `${token()},admin,1,"system:masters"\n${token()},keyferry,2\n`);
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  writeByRename(join(paths.pki, 'sa.key'), privateKey);
  writeByRename(join(paths.pki, 'sa.pub'), publicKey);
  for (const { node } of config.apiServers) mkdirSync(paths.node(node).certificates, { recursive: true });
}

export function readToken(paths: LabPaths, user: LabUser): string {
  const line = readFileSync(paths.tokens, 'utf8')
    .split('\n')
    .find((candidate) => candidate.split(',')[1] === user);
  return line?.split(',')[0] ?? '';
}

/**
 * What to put before a command line so that it may have a host name of its own, without which the identities of several
 * API servers on one machine fall together. Empty where the system doesn't allow it.
 */
export async function ownHostNamePrefix(): Promise<readonly string[]> {
  const flags = process.getuid?.() === 0 ? ['-u'] : ['-r', '-u'];
  try {
    await promisify(execFile)('unshare', [...flags, 'sh', '-c', 'hostname keyferry-probe'], {
      timeout: 10_000,
    });
    return ['unshare', ...flags];
  } catch {
    return [];
  }
}
