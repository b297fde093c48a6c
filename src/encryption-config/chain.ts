import { canonicalResource, wildcardsOver } from './group-resource.ts';
import { refOf } from './model.ts';
import type { EncryptionConfiguration, ProviderRef, ProviderSummary } from './types.ts';

/**
 * The providers that an API server tries for a resource, in its order; the first one writes.
 *
 * Entries that name the resource add up in the order of the file, and hide every wildcard. Without one, `*.<group>`
 * goes before `*.*`; without any, the server keeps the resource in plain text, as `identity` does.
 *
 * @param resource - `secrets`, `widgets.example.com`
 */
export function providersFor(config: EncryptionConfiguration, resource: string): ProviderSummary[] {
  const entries = entriesFor(config.entries, (entry) => entry.resources, resource);
  return entries.length === 0 ? [{ type: 'identity' }] : entries.flatMap((entry) => entry.providers);
}

/** The provider, and with local providers the key, that an API server writes a resource with. */
export function writerOf(config: EncryptionConfiguration, resource: string): ProviderRef {
  return refOf(providersFor(config, resource)[0] ?? { type: 'identity' });
}

/** The entries of a file that apply to a resource; `namesOf` has the resources of one, as written. */
export function entriesFor<Entry>(
  entries: readonly Entry[],
  namesOf: (entry: Entry) => readonly string[],
  resource: string,
): readonly Entry[] {
  for (const name of [canonicalResource(resource), ...wildcardsOver(resource)]) {
    const applying = entries.filter((entry) =>
      namesOf(entry).some((listed) => canonicalResource(listed) === name),
    );
    if (applying.length > 0) return applying;
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
