import { apiServerUrl } from './api-server.ts';
import { type LabConfig } from './config.ts';
import { SOURCE_KMS } from './encryption-configuration.ts';
import { etcdUrls } from './etcd.ts';
import { labPaths } from './paths.ts';

/** A migration's document as a user writes it. The lab writes it by hand, as users do, and not with keyferry's own types. */
export interface MigrationDocument {
  apiVersion: 'keyferry.dev/v1alpha1';
  kind: 'Migration';
  metadata: { name: string };
  spec: Record<string, unknown>;
}

export interface MigrationOverrides {
  readonly name?: string;
  /** Fields of `spec` to replace as a whole. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** From what the lab began with to Vault, ready to use. */
export function migrationSpec(config: LabConfig, overrides: MigrationOverrides = {}): MigrationDocument {
  const paths = labPaths(config.dir);
  const anyNode = paths.node('{node}');
  return {
    apiVersion: 'keyferry.dev/v1alpha1',
    kind: 'Migration',
    metadata: { name: overrides.name ?? 'lab-aescbc-to-vault' },
    spec: {
      cluster: {
        name: config.cluster,
        kubeconfig: { file: paths.kubeconfig, context: `keyferry@${config.apiServers[0]?.node ?? ''}` },
        apiServers: config.apiServers.map((server) => ({
          name: server.node,
          server: apiServerUrl(server),
          certificateAuthority: { file: paths.node(server.node).certificate },
        })),
        etcd: {
          endpoints: etcdUrls(config),
          prefix: '/registry',
          ...(config.etcd.tls ? { tls: paths.etcd } : {}),
        },
        encryptionConfiguration: {
          file: anyNode.encryptionConfiguration,
          takeUp: config.apiServerOptions.reload ? 'Reload' : 'Restart',
        },
        requestTimeout: `${config.apiServerOptions.requestTimeoutSeconds}s`,
      },
      resources: ['secrets', 'configmaps'],
      source: config.sourcePlugins ? { kms: { name: SOURCE_KMS } } : { aescbc: { keyName: 'key1' } },
      target: { kms: { name: 'vault', endpoint: `unix://${anyNode.socket}`, timeout: '3s' } },
      pace: { objectsPerSecond: 0, concurrency: 16 },
      gates: { cutover: 'Manual', cleanup: 'Manual' },
      ...overrides.spec,
    },
  };
}
