import { z } from 'zod';
import {
  clusterBase,
  encryptionConfiguration,
  name,
  pace,
  refuseSchedule,
  resources,
  verifyBy,
} from './shared.ts';

export const storageVersionMigrationSchema = z.strictObject({
  apiVersion: z.literal('keyferry.dev/v1alpha1'),
  kind: z.literal('StorageVersionMigration'),
  metadata: z.strictObject({ name }),
  spec: z
    .strictObject({
      cluster: clusterBase.extend({
        encryptionConfiguration: encryptionConfiguration
          .optional()
          .describe('Only where the resources are encrypted at rest: then an agent looks into their values.'),
      }),
      resources,
      engine: z
        .enum(['APIServer', 'StorageVersionMigration'], {
          error: (issue) =>
            issue.input === 'Etcd'
              ? "can't be Etcd: it moves bytes as they are, and only an API server converts, defaults and prunes"
              : undefined,
        })
        .default('APIServer')
        .describe(
          "How objects are rewritten. APIServer: by updates that change nothing, through the API servers. StorageVersionMigration: by the cluster's own kube-controller-manager, where it serves storagemigration.k8s.io, after every object's conversion was tried; it can be neither slowed down nor stopped, it removes old versions from status.storedVersions before anything is proven (keyferry puts them back until it is), and what it leaves is rewritten through the API servers.",
        ),
      pace,
      gates: z.strictObject({ trim: z.enum(['Manual', 'Auto']).default('Manual') }).prefault({}),
      // What a conversion drops can't be found any more once it is written.
      verify: verifyBy('All').describe(
        'Also how many objects are tried, before they are rewritten, on whether their conversion keeps every field.',
      ),
    })
    .check(refuseSchedule),
});

/** A StorageVersionMigration document with its defaults filled in. */
export type StorageVersionMigration = z.output<typeof storageVersionMigrationSchema>;
export type StorageVersionMigrationSpec = StorageVersionMigration['spec'];
