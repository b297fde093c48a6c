import { KeyferryError } from '../errors.ts';
import { formatProviderRef, providersFor } from './chain.ts';
import { canonicalResource } from './group-resource.ts';
import { refOf } from './model.ts';
import type { EncryptionConfiguration } from './types.ts';

/** The kms entry within which a key is rotated. */
interface RotatedEntry {
  readonly resources: readonly string[];
  readonly name: string;
  readonly endpoint: string;
}

/**
 * Whether the key of a file's kms entry can be rotated: it writes every resource of the migration, at the endpoint that the spec
 * names, and reads no other, whose objects would be left under the old version.
 *
 * @throws KeyferryError with the reason and the way out
 */
export function checkRotation(config: EncryptionConfiguration, entry: RotatedEntry): void {
  const { resources, name, endpoint } = entry;
  for (const resource of resources) {
    const writer = providersFor(config, resource)[0] ?? { type: 'identity' };
    if (writer.type !== 'kms' || writer.name !== name || writer.apiVersion !== 'v2') {
      throw new KeyferryError(
        'EncryptionConfigurationNotRotatable',
        `Source and target are both kms ${JSON.stringify(name)}, which is a rotation of its key, but ${resource} is written by ${formatProviderRef(refOf(writer))}.`,
        { remedy: 'Name what writes now as the source; only a key that writes already can be rotated.' },
      );
    }
    if (writer.endpoint !== endpoint) {
      throw new KeyferryError(
        'EncryptionConfigurationNotRotatable',
        `Source and target are both kms ${JSON.stringify(name)}, which is a rotation of its key, but it is at ${writer.endpoint} in the file, and at ${endpoint} in the spec.`,
        { remedy: 'Give the endpoint of the file; for another plugin, give the target another name.' },
      );
    }
  }
  const migrated = new Set(resources.map(canonicalResource));
  const others = config.entries
    .filter(({ providers }) => providers.some((one) => one.type === 'kms' && one.name === name))
    .flatMap((one) => one.resources)
    .filter((resource) => !migrated.has(canonicalResource(resource)));
  if (others.length === 0) return;
  throw new KeyferryError(
    'EncryptionConfigurationSharedKms',
    `The key of kms ${JSON.stringify(name)} also encrypts ${others.join(', ')}, which would be left under its old version.`,
    {
      remedy:
        "Add them to the migration's resources; instead of a wildcard, list the resources by name in the file and in the migration.",
    },
  );
}
