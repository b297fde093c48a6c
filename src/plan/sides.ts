import type { ProviderRef, ProviderReference } from '../encryption-config/types.ts';
import type { ApiServerSpec, MigrationSpec } from '../spec/migration.ts';
import { isRotation, type Rotation } from './rotation.ts';

const LOCAL_PROVIDERS = ['aescbc', 'aesgcm', 'secretbox'] as const;

/**
 * The source of a migration, as encryption-config and envelope name providers.
 *
 * @param rotation - where both sides are one entry of the file: its key ids tell them apart
 */
export function sourceOf(spec: MigrationSpec, rotation?: Pick<Rotation, 'source'>): ProviderRef {
  return refOf(spec.source, rotation?.source);
}

export function targetOf(spec: MigrationSpec, rotation?: Pick<Rotation, 'target'>): ProviderRef {
  return refOf(spec.target, rotation?.target);
}

/** "aescbc key1", "kms vault", "identity": how people are told of a provider. */
export function refText(ref: ProviderRef): string {
  if (ref.type === 'identity') return 'identity';
  if (ref.type !== 'kms') return `${ref.type} ${ref.keyName}`;
  return ref.keyId === undefined ? `kms ${ref.name}` : `kms ${ref.name}, key id ${ref.keyId}`;
}

/** What the agent of one node is told of its file. */
export function nodeFile(spec: MigrationSpec, node: string) {
  return {
    file: onNode(spec.cluster.encryptionConfiguration.file, node),
    resources: [...spec.resources],
    source: sourceOf(spec),
    target: targetOn(spec.target, node),
    ...(isRotation(spec) ? { rotation: true as const } : {}),
  };
}

function targetOn({ kms, ...local }: MigrationSpec['target'], node: string): ProviderReference {
  if (kms !== undefined) {
    return { type: 'kms', name: kms.name, endpoint: onNode(kms.endpoint, node), timeout: kms.timeout };
  }
  for (const type of LOCAL_PROVIDERS) {
    const key = local[type];
    if (key !== undefined) {
      return { type, keyName: key.keyName, secretFile: onNode(key.secretFile, node) };
    }
  }
  return { type: 'identity' };
}

/** The one provider that a side of the spec names. */
function refOf(
  { kms, ...local }: MigrationSpec['source'] | MigrationSpec['target'],
  keyId?: string,
): ProviderRef {
  if (kms !== undefined) return { type: 'kms', name: kms.name, ...(keyId === undefined ? {} : { keyId }) };
  for (const type of LOCAL_PROVIDERS) {
    const key = local[type];
    if (key !== undefined) return { type, keyName: key.keyName };
  }
  return { type: 'identity' };
}

/** The node whose agent looks after an API server. */
export function nodeOf(server: ApiServerSpec): string {
  return server.node ?? server.name;
}

/** Puts a node's name where a path or endpoint leaves room for it. */
export function onNode(text: string, node: string): string {
  return text.replaceAll('{node}', node);
}
