import { createCipheriv, createDecipheriv } from 'node:crypto';
import { aesAlgorithm, secretOf } from './aes.ts';
import { EnvelopeError } from './errors.ts';
import { freshNonce } from './nonces.ts';

/** In bytes. */
export const gcmNonceBytes = 12;
const tagBytes = 16;
const overheadBytes = gcmNonceBytes + tagBytes;

/**
 * Seals as Kubernetes' aesgcm does, and inside their envelopes kms v1 and v2: nonce 12 ‖ ciphertext ‖ tag 16.
 *
 * One key may seal 2^32 values under random nonces (NIST SP 800-38D, 8.3): Kubernetes asks for a new one every 200,000
 * writes.
 *
 * @param key - 16, 24 or 32 bytes
 * @param etcdKey - the full key in etcd, authenticated with the value
 * @param nonce - 12 bytes that this key has never seen; random unless given
 * @returns what comes after the prefix
 * @throws EnvelopeError `EnvelopeLimit` for a key or nonce of another size
 */
export function sealAesGcm(
  plaintext: Buffer,
  key: Buffer,
  etcdKey: Buffer,
  nonce: Buffer = freshNonce(gcmNonceBytes),
): Buffer {
  if (nonce.length !== gcmNonceBytes) {
    throw new EnvelopeError('EnvelopeLimit', `the nonce has ${nonce.length} bytes, not ${gcmNonceBytes}`);
  }
  const cipher = createCipheriv(aesAlgorithm('gcm', key), secretOf(key), nonce, { authTagLength: tagBytes });
  cipher.setAAD(etcdKey);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]);
}

/**
 * Opens what {@link sealAesGcm} seals.
 *
 * @param body - what comes after the prefix
 * @throws EnvelopeError `EnvelopeMalformed` when it is too short; `EnvelopeNotAuthentic` under another key or etcd key, or
 * after any change; `EnvelopeLimit` for a key of another size
 */
export function openAesGcm(body: Buffer, key: Buffer, etcdKey: Buffer): Buffer {
  if (body.length < overheadBytes) {
    throw new EnvelopeError(
      'EnvelopeMalformed',
      `the encrypted data has ${body.length} bytes, fewer than nonce and tag (${overheadBytes})`,
    );
  }
  const nonce = body.subarray(0, gcmNonceBytes);
  const decipher = createDecipheriv(aesAlgorithm('gcm', key), secretOf(key), nonce, {
    authTagLength: tagBytes,
  });
  decipher.setAAD(etcdKey);
  decipher.setAuthTag(body.subarray(body.length - tagBytes));
  const plaintext = decipher.update(body.subarray(gcmNonceBytes, body.length - tagBytes));
  try {
    decipher.final();
  } catch {
    // What was deciphered so far is not to be trusted, nor to be kept.
    plaintext.fill(0);
    throw new EnvelopeError(
      'EnvelopeNotAuthentic',
      'the value does not open with this key under this etcd key',
    );
  }
  return plaintext;
}
