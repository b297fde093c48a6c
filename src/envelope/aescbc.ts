import { createCipheriv, createDecipheriv } from 'node:crypto';
import { aesAlgorithm, aesBlockBytes, secretOf } from './aes.ts';
import { EnvelopeError } from './errors.ts';
import { freshNonce } from './nonces.ts';

/**
 * Seals as Kubernetes' aescbc does: IV 16 ‖ AES-CBC with PKCS#7 padding. Nothing is authenticated.
 *
 * @param key - 16, 24 or 32 bytes
 * @returns what comes after the prefix
 * @throws EnvelopeError `EnvelopeLimit` for a key of another size
 */
export function sealAesCbc(plaintext: Buffer, key: Buffer): Buffer {
  const iv = freshNonce(aesBlockBytes);
  const cipher = createCipheriv(aesAlgorithm('cbc', key), secretOf(key), iv);
  return Buffer.concat([iv, cipher.update(plaintext), cipher.final()]);
}

/**
 * Opens as Kubernetes' aescbc does. **A value that was changed, or sealed under another key, may open as garbage**: only the
 * padding tells, in about 255 of 256 cases.
 *
 * @param body - what comes after the prefix
 * @throws EnvelopeError `EnvelopeMalformed` when it isn't an IV and whole blocks; `EnvelopeNotAuthentic` when the padding is
 * wrong; `EnvelopeLimit` for a key of another size
 */
export function openAesCbc(body: Buffer, key: Buffer): Buffer {
  // An IV alone lets kube-apiserver panic: its request fails as well.
  if (body.length < 2 * aesBlockBytes || body.length % aesBlockBytes !== 0) {
    throw new EnvelopeError(
      'EnvelopeMalformed',
      `the encrypted data has ${body.length} bytes, not an IV and whole blocks of ${aesBlockBytes}`,
    );
  }
  const decipher = createDecipheriv(aesAlgorithm('cbc', key), secretOf(key), body.subarray(0, aesBlockBytes));
  decipher.setAutoPadding(false);
  const padded = decipher.update(body.subarray(aesBlockBytes));
  const size = unpaddedSize(padded);
  if (size === undefined) {
    padded.fill(0);
    throw new EnvelopeError(
      'EnvelopeNotAuthentic',
      'the value does not open with this key: its padding is wrong',
    );
  }
  return padded.subarray(0, size);
}

/**
 * Where the padding begins, by Kubernetes' own rule: it takes up to 255 bytes of it, where OpenSSL's takes no more than a
 * block. So garbage that opens there opens here.
 */
function unpaddedSize(padded: Buffer): number | undefined {
  const padding = padded[padded.length - 1] ?? 0;
  const size = padded.length - padding;
  if (padding === 0 || size < 0) return undefined;
  for (let i = size; i < padded.length; i++) if (padded[i] !== padding) return undefined;
  return size;
}
