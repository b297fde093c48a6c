import { z } from 'zod';
import {
  clusterBase,
  duration,
  encryptionConfiguration,
  name,
  pace,
  refuseSchedule,
  resources,
  verifyBy,
  type ClusterSpec,
} from './shared.ts';

export { MAX_API_SERVERS, MAX_RESOURCES } from './shared.ts';
export type { ClusterSpec, PaceSpec, VerifySpec } from './shared.ts';

const cluster = clusterBase.extend({ encryptionConfiguration });

const keyName = z
  .string()
  .min(1)
  .refine((value) => !value.includes(':'), "must not contain ':'");

const localProvider = z.strictObject({ keyName });

const sourceKms = z.strictObject({ name: z.string().min(1) });

const targetKms = z.strictObject({
  name: z
    .string()
    .min(1)
    .refine((value) => !value.includes(':'), "must not contain ':' (a KMS v2 name can't)"),
  endpoint: z
    .string()
    .startsWith('unix:///', "must be unix:/// and the socket's absolute path")
    .describe("{node} stands for the node's name."),
  timeout: duration.default('3s'),
});

/** Exactly one of the fields, so that a document reads like an EncryptionConfiguration. */
function oneOf<T extends z.ZodRawShape>(shape: T, what: string) {
  const names = Object.keys(shape);
  return z.strictObject(shape).check((ctx) => {
    const given = names.filter((key) => (ctx.value as Record<string, unknown>)[key] !== undefined);
    if (given.length === 1) return;
    ctx.issues.push({
      code: 'custom',
      input: ctx.value,
      message: `${what} needs exactly one of ${names.join(', ')}; ${given.length === 0 ? 'none is given' : `given are ${given.join(' and ')}`}`,
    });
  });
}

const source = oneOf(
  {
    identity: z.strictObject({}).optional(),
    aescbc: localProvider.optional(),
    aesgcm: localProvider.optional(),
    secretbox: localProvider.optional(),
    kms: sourceKms.optional(),
  },
  'source',
);

const localTarget = z.strictObject({
  keyName,
  secretFile: z
    .string()
    .startsWith('/', 'must be an absolute path on the nodes')
    .describe(
      "Holds the key in base64, as an EncryptionConfiguration does, on every node; {node} stands for the node's name.",
    ),
});

const target = oneOf(
  {
    identity: z.strictObject({}).optional(),
    aescbc: localTarget.optional(),
    aesgcm: localTarget.optional(),
    secretbox: localTarget.optional(),
    kms: targetKms.optional(),
  },
  'target',
);

export const migrationSchema = z.strictObject({
  apiVersion: z.literal('keyferry.dev/v1alpha1'),
  kind: z.literal('Migration'),
  metadata: z.strictObject({ name }),
  spec: z
    .strictObject({
      cluster,
      resources,
      source: source.describe('The provider that writes now.'),
      target: target.describe('The provider that shall write.'),
      engine: z
        .enum(['APIServer', 'Etcd', 'StorageVersionMigration'])
        .default('APIServer')
        .describe(
          "How objects are rewritten. APIServer: by updates that change nothing, through the API servers. Etcd: in etcd itself, by the agents on the nodes; faster, and watchers see every object as modified. Not for changing storage versions. Agents then reach etcd and the API servers, with the files that cluster.etcd.tls and cluster.kubeconfig name, each on its own node. StorageVersionMigration: by the cluster's own kube-controller-manager, where it serves storagemigration.k8s.io; it can be neither slowed down nor stopped, and what it leaves is rewritten through the API servers.",
        ),
      pace,
      gates: z
        .strictObject({
          cutover: z.enum(['Manual', 'Auto']).default('Manual'),
          cleanup: z.enum(['Manual', 'Auto']).default('Manual'),
          soak: duration
            .default('0s')
            .describe('How long to wait after verify before cutover may be approved.'),
        })
        .prefault({}),
      rotation: z
        .strictObject({
          steadyFor: duration
            .default('2m')
            .describe(
              'How long every API server must have sealed with the new key id before rewriting begins; one that changes starts it anew.',
            ),
        })
        .prefault({})
        .describe(
          'Of a migration whose source and target are one kms entry: from one version of its key to the next.',
        ),
      verify: verifyBy('Sample'),
      canary: z
        .strictObject({ namespace: name.default('kube-system') })
        .prefault({})
        .describe('Where the short-lived objects live that prove what an API server reads and writes.'),
    })
    .check(refuseSchedule),
});

/** A Migration document with its defaults filled in. Holds references only; never key material. */
export type Migration = z.output<typeof migrationSchema>;
export type MigrationSpec = Migration['spec'];
export type ApiServerSpec = ClusterSpec['apiServers'][number];
export type EtcdSpec = ClusterSpec['etcd'];
export type ProviderSpec = MigrationSpec['source'] | MigrationSpec['target'];
