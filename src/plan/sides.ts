import type { ProviderRef } from '../encryption-config/types.ts';
import type { ApiServerSpec, MigrationSpec } from '../spec/migration.ts';

/** The source of a migration, as encryption-config and envelope name providers. */
export function sourceOf(spec: MigrationSpec): ProviderRef {
  const { source } = spec;
  if (source.kms !== undefined) return { type: 'kms', name: source.kms.name };
  for (const type of ['aescbc', 'aesgcm', 'secretbox'] as const) {
    const local = source[type];
    if (local !== undefined) return { type, keyName: local.keyName };
  }
  return { type: 'identity' };
}

export function targetOf(spec: MigrationSpec): ProviderRef {
  return { type: 'kms', name: targetKms(spec).name };
}

/** "aescbc key1", "kms vault", "identity": how people are told of a provider. */
export function refText(ref: ProviderRef): string {
  if (ref.type === 'identity') return 'identity';
  return ref.type === 'kms' ? `kms ${ref.name}` : `${ref.type} ${ref.keyName}`;
}

/** What the agent of one node is told of its file. */
export function nodeFile(spec: MigrationSpec, node: string) {
  const kms = targetKms(spec);
  return {
    file: onNode(spec.cluster.encryptionConfiguration.file, node),
    resources: [...spec.resources],
    source: sourceOf(spec),
    target: {
      type: 'kms' as const,
      name: kms.name,
      endpoint: onNode(kms.endpoint, node),
      timeout: kms.timeout,
    },
  };
}

/** The node whose agent looks after an API server. */
export function nodeOf(server: ApiServerSpec): string {
  return server.node ?? server.name;
}

/** Puts a node's name where a path or endpoint leaves room for it. */
function onNode(text: string, node: string): string {
  return text.replaceAll('{node}', node);
}

function targetKms(spec: MigrationSpec) {
  if (spec.target.kms === undefined) throw new Error('the schema lets no target without a provider pass');
  return spec.target.kms;
}
