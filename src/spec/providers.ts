import type { ProviderEntry, ProviderRef } from '../encryption-config/types.ts';
import type { MigrationSpec } from './migration.ts';

/** The source of a migration as encryption-config and envelope name it. */
export function sourceRef(spec: MigrationSpec): ProviderRef {
  const { source } = spec;
  if (source.kms !== undefined) return { type: 'kms', name: source.kms.name };
  for (const type of ['aescbc', 'aesgcm', 'secretbox'] as const) {
    const local = source[type];
    if (local !== undefined) return { type, keyName: local.keyName };
  }
  return { type: 'identity' };
}

/** The target's entry on one node. */
export function targetEntry(spec: MigrationSpec, node: string): ProviderEntry {
  const kms = targetKms(spec);
  return { type: 'kms', name: kms.name, endpoint: onNode(kms.endpoint, node), timeout: kms.timeout };
}

export function targetRef(spec: MigrationSpec): ProviderRef {
  return { type: 'kms', name: targetKms(spec).name };
}

function targetKms(spec: MigrationSpec) {
  if (spec.target.kms === undefined) throw new Error('the schema lets no target without a provider pass');
  return spec.target.kms;
}

/** Puts a node's name where a path or endpoint leaves room for it. */
export function onNode(text: string, node: string): string {
  return text.replaceAll('{node}', node);
}

/** "aescbc key1", "kms vault", "identity": how people are told of a provider. */
export function describeProvider(ref: ProviderRef): string {
  switch (ref.type) {
    case 'identity':
      return 'identity';
    case 'kms':
      return `kms ${ref.name}`;
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return `${ref.type} ${ref.keyName}`;
  }
}
