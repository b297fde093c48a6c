import type { ConfiguredName } from '../envelope/types.ts';
import { namesOf } from '../plan/names.ts';
import { parseEncryptionConfiguration } from './parse.ts';

/**
 * All names of a file that may hold ':', so that values can be told by them without opening any.
 *
 * @throws InvalidEncryptionConfigurationError
 */
export function configuredNames(text: string): ConfiguredName[] {
  const { entries } = parseEncryptionConfiguration(text, { kmsV1: true, reload: false });
  return entries.flatMap(({ providers }) => providers.flatMap(namesOf));
}
