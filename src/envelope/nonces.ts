import { randomFillSync } from 'node:crypto';

/** Drawn from the system at once, in bytes: sealing a value takes 12 to 44 of them, and a draw takes as long as an HMAC. */
const DRAWN = 4_096;

let drawn = Buffer.alloc(0);

/**
 * Random bytes that a value is sealed with and stored beside it: a nonce, an IV, or what its key is derived with. Not for keys, for
 * what was drawn ahead stays in memory.
 *
 * @param bytes - {@link DRAWN} at most
 */
export function freshNonce(bytes: number): Buffer {
  if (drawn.length < bytes) drawn = randomFillSync(Buffer.alloc(DRAWN));
  const nonce = drawn.subarray(0, bytes);
  drawn = drawn.subarray(bytes);
  return nonce;
}
