import { z } from 'zod';
import { clusterBase, encryptionConfiguration, name, pace, resources, verifyBy } from './shared.ts';

export const storageVersionMigrationSchema = z.strictObject({
  apiVersion: z.literal('keyferry.dev/v1alpha1'),
  kind: z.literal('StorageVersionMigration'),
  metadata: z.strictObject({ name }),
  spec: z.strictObject({
    cluster: clusterBase.extend({
      encryptionConfiguration: encryptionConfiguration
        .optional()
        .describe('Only where the resources are encrypted at rest: then an agent looks into their values.'),
    }),
    resources,
    engine: z
      .enum(['APIServer'], {
        error: (issue) =>
          issue.input === 'Etcd'
            ? "can't be Etcd: it moves bytes as they are, and only an API server converts, defaults and prunes"
            : undefined,
      })
      .default('APIServer')
      .describe('How objects are rewritten: by updates that change nothing, through the API servers.'),
    pace,
    gates: z.strictObject({ trim: z.enum(['Manual', 'Auto']).default('Manual') }).prefault({}),
    // What a conversion drops can't be found any more once it is written.
    verify: verifyBy('All').describe(
      'Also how many objects are tried, before they are rewritten, on whether their conversion keeps every field.',
    ),
  }),
});

/** A StorageVersionMigration document with its defaults filled in. */
export type StorageVersionMigration = z.output<typeof storageVersionMigrationSchema>;
export type StorageVersionMigrationSpec = StorageVersionMigration['spec'];
