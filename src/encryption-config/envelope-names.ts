import type { ConfiguredName } from '../envelope/types.ts';
import { parseEncryptionConfiguration } from './parse.ts';

/**
 * All names of a file that may hold ':', so that values can be told by them without opening any.
 *
 * @throws InvalidEncryptionConfigurationError
 */
export function configuredNames(text: string): ConfiguredName[] {
  const { entries } = parseEncryptionConfiguration(text, { kmsV1: true, reload: false });
  return entries.flatMap(({ providers }) =>
    providers.flatMap((provider): ConfiguredName[] => {
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
    }),
  );
}
