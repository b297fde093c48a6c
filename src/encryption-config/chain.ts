import { canonicalResource, wildcardsOver } from './group-resource.ts';
import { refOf } from './model.ts';
import type { ConfigurationEntry, EncryptionConfiguration, ProviderRef, ProviderSummary } from './types.ts';

/**
 * The providers that an API server tries for a resource, in its order; the first one writes.
 *
 * Entries that name the resource add up in the order of the file, and hide every wildcard. Without one, `*.<group>`
 * goes before `*.*`; without any, the server keeps the resource in plain text, as `identity` does.
 *
 * @param resource - `secrets`, `widgets.example.com`
 */
export function providersFor(config: EncryptionConfiguration, resource: string): ProviderSummary[] {
  const entries = entriesFor(config, resource);
  return entries.length === 0 ? [{ type: 'identity' }] : entries.flatMap((entry) => entry.providers);
}

/** The provider, and with local providers the key, that an API server writes a resource with. */
export function writerOf(config: EncryptionConfiguration, resource: string): ProviderRef {
  return refOf(providersFor(config, resource)[0] ?? { type: 'identity' });
}

function entriesFor(config: EncryptionConfiguration, resource: string): readonly ConfigurationEntry[] {
  for (const name of [canonicalResource(resource), ...wildcardsOver(resource)]) {
    const entries = config.entries.filter((entry) =>
      entry.resources.some((listed) => canonicalResource(listed) === name),
    );
    if (entries.length > 0) return entries;
  }
  return [];
}

export function sameProvider(a: ProviderRef, b: ProviderRef): boolean {
  return formatProviderRef(a) === formatProviderRef(b) && a.type === b.type;
}

/** For messages: `identity`, `aescbc key "key1"`, `kms "vault"`. */
export function formatProviderRef(ref: ProviderRef): string {
  switch (ref.type) {
    case 'identity':
      return 'identity (no encryption)';
    case 'kms':
      return `kms ${JSON.stringify(ref.name)}`;
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return `${ref.type} key ${JSON.stringify(ref.keyName)}`;
  }
}
