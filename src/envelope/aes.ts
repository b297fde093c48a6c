import { createSecretKey, type KeyObject } from 'node:crypto';
import { EnvelopeError } from './errors.ts';

/** AES works in blocks of 16 bytes, whatever its key. */
export const aesBlockBytes = 16;

type AesAlgorithm<Mode extends 'cbc' | 'gcm'> = `aes-${128 | 192 | 256}-${Mode}`;

/**
 * A key as node:crypto takes it without ado: of a Buffer, Node 24 finds out by an exception that it is no KeyObject, which
 * takes three times as long as to encrypt 1 KB.
 */
export function secretOf(key: Buffer): KeyObject {
  return createSecretKey(key);
}

/**
 * OpenSSL's name of AES under this key.
 *
 * @throws EnvelopeError `EnvelopeLimit` for a key of another size than 16, 24 or 32 bytes
 */
export function aesAlgorithm<Mode extends 'cbc' | 'gcm'>(mode: Mode, key: Buffer): AesAlgorithm<Mode> {
  switch (key.length) {
    case 16:
      return `aes-128-${mode}`;
    case 24:
      return `aes-192-${mode}`;
    case 32:
      return `aes-256-${mode}`;
    default:
      throw new EnvelopeError(
        'EnvelopeLimit',
        `the key has ${key.length} bytes, not those of an AES key (16, 24 or 32)`,
      );
  }
}
