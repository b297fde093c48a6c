import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { EnvelopeError } from './errors.ts';
import { freshNonce } from './nonces.ts';

const keyBytes = 32;
const nonceBytes = 24;
const tagBytes = 16;

/**
 * Seals as Kubernetes' secretbox does: nonce 24 ‖ XSalsa20-Poly1305 box (NaCl's, tag first). The etcd key isn't part of it.
 *
 * @param key - 32 bytes
 * @returns what comes after the prefix
 * @throws EnvelopeError `EnvelopeLimit` for a key of another size
 */
export function sealSecretbox(plaintext: Buffer, key: Buffer): Buffer {
  const nonce = freshNonce(nonceBytes);
  return Buffer.concat([nonce, cipherOf(key, nonce).encrypt(plaintext)]);
}

/**
 * Opens what {@link sealSecretbox} seals.
 *
 * @param body - what comes after the prefix
 * @throws EnvelopeError `EnvelopeMalformed` when it is too short; `EnvelopeNotAuthentic` under another key or after any change;
 * `EnvelopeLimit` for a key of another size
 */
export function openSecretbox(body: Buffer, key: Buffer): Buffer {
  if (body.length < nonceBytes + tagBytes) {
    throw new EnvelopeError(
      'EnvelopeMalformed',
      `the encrypted data has ${body.length} bytes, fewer than nonce and tag (${nonceBytes + tagBytes})`,
    );
  }
  const cipher = cipherOf(key, body.subarray(0, nonceBytes));
  try {
    const plaintext = cipher.decrypt(body.subarray(nonceBytes));
    return Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
  } catch {
    throw new EnvelopeError('EnvelopeNotAuthentic', 'the value does not open with this key');
  }
}

function cipherOf(key: Buffer, nonce: Buffer) {
  if (key.length !== keyBytes) {
    throw new EnvelopeError('EnvelopeLimit', `the key has ${key.length} bytes, not ${keyBytes}`);
  }
  return xsalsa20poly1305(key, nonce);
}
