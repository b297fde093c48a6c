import { type EnvelopeHeader, type EnvelopeTarget } from './types.ts';

/**
 * Whether a value lies outside what the target writes, so that something else than the target is needed to read it (or
 * may be: a guessed name and an unknown value count as outside, for nothing proves the contrary).
 *
 * For a kms target without `keyId`, any key id of that provider is inside; with one, every generation of it is: what came back
 * after it was left is the same key. The DEK source type isn't looked at: values of
 * both types are read with the same provider and key.
 */
export function isOutside(header: EnvelopeHeader, target: EnvelopeTarget): boolean {
  switch (header.provider) {
    case 'unknown':
      return true;
    case 'identity':
      return target.type !== 'identity';
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return header.nameGuessed || target.type !== header.provider || target.keyName !== header.keyName;
    case 'kms':
      if (header.version === 'v1' || target.type !== 'kms' || target.name !== header.name) return true;
      if (target.keyId === undefined) return false;
      return header.keyId !== target.keyId && !header.keyId.startsWith(`${target.keyId};generation=`);
  }
}
