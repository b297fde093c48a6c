import type { ProviderRef, ProviderSummary } from '../encryption-config/types.ts';
import type { ConfiguredName } from '../envelope/types.ts';

/** The names of a provider that may hold ':', so that values are told by them and never by splitting. */
export function namesOf(provider: ProviderSummary): ConfiguredName[] {
  switch (provider.type) {
    case 'identity':
      return [];
    case 'kms':
      return provider.apiVersion === 'v1' ? [{ type: 'kms-v1', name: provider.name }] : [];
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return provider.keyNames.map((keyName) => ({ type: provider.type, keyName }));
  }
}

/** The names that values may lie under in a migration: those of the files, and the target's, which isn't in them yet. */
export function namesMet(providers: readonly ProviderSummary[], target: ProviderRef): ConfiguredName[] {
  const all = [...('keyName' in target ? [target] : []), ...providers.flatMap(namesOf)];
  return [...new Map(all.map((name) => [JSON.stringify(name), name])).values()];
}
