import { localBody, prefixOf } from './prefixes.ts';
import type { EnvelopeTarget } from './types.ts';

/** Info, nonce and tag of a kms v2 value's data. */
const KMS_V2_DATA_BYTES = 32 + 12 + 16;
/** Tags and lengths of an EncryptedObject's fields, and its source type. */
const KMS_V2_FIELD_BYTES = 12;

/**
 * How many bytes a provider's value has beside the object's own.
 *
 * @param sealBytes - of kms: key id, encrypted DEK and annotations, as its plugin answers them, in bytes
 */
export function envelopeBytes(target: EnvelopeTarget, sealBytes: number): number {
  const prefix = Buffer.byteLength(prefixOf(target));
  switch (target.type) {
    case 'identity':
      return 0;
    case 'kms':
      return prefix + KMS_V2_DATA_BYTES + KMS_V2_FIELD_BYTES + sealBytes;
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return prefix + localBody[target.type].least;
  }
}
