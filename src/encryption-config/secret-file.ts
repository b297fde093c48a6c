import { readFile } from 'node:fs/promises';
import { KeyferryError } from '../errors.ts';
import { fileError } from './file-errors.ts';
import type { ProviderEntry, ProviderReference } from './types.ts';

/** More than the base64 of any key that Kubernetes takes. */
const MAX_CHARACTERS = 1_000;

/**
 * A provider with its key, read from where the reference says: on the node itself, so that keys never travel. The file holds
 * the key as an EncryptionConfiguration does, in base64.
 *
 * @throws KeyferryError `EncryptionConfigurationSecretFile`, and those of reading a file
 */
export async function withSecret(reference: ProviderReference): Promise<ProviderEntry> {
  if (!('secretFile' in reference)) return reference;
  const { secretFile, ...provider } = reference;
  let text: string;
  try {
    text = (await readFile(secretFile, 'utf8')).trim();
  } catch (error) {
    throw fileError(error, 'read', secretFile);
  }
  if (text.length > MAX_CHARACTERS || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw new KeyferryError(
      'EncryptionConfigurationSecretFile',
      `${secretFile} does not hold one key in base64`,
      { remedy: `make one: head -c 32 /dev/urandom | base64 > ${secretFile}` },
    );
  }
  return { ...provider, secret: text };
}
