import { EnvelopeError } from './errors.ts';
import { encryptedPrefix } from './prefixes.ts';

/**
 * What identity reads: every value but those that begin with the prefix of the encrypted ones.
 *
 * @throws EnvelopeError `EnvelopeMalformed` for a value that begins with `k8s:enc:`
 */
export function openIdentity(value: Buffer): Buffer {
  if (isReserved(value)) {
    throw new EnvelopeError(
      'EnvelopeMalformed',
      `identity reads nothing that begins with ${encryptedPrefix}`,
    );
  }
  return value;
}

/**
 * What identity writes. kube-apiserver doesn't look at it, for no object of its begins with the reserved prefix; here it may
 * be anything, and what nobody could read again isn't written.
 *
 * @throws EnvelopeError `EnvelopeLimit` for a plaintext that begins with `k8s:enc:`
 */
export function sealIdentity(plaintext: Buffer): Buffer {
  if (isReserved(plaintext)) {
    throw new EnvelopeError(
      'EnvelopeLimit',
      `what begins with ${encryptedPrefix} can't be stored as it is: identity wouldn't read it again`,
    );
  }
  return plaintext;
}

function isReserved(value: Buffer): boolean {
  return value.toString('latin1', 0, encryptedPrefix.length) === encryptedPrefix;
}
