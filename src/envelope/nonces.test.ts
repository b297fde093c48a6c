import { expect, test } from '@jest/globals';
import { freshNonce } from './nonces.ts';

test('no byte that was drawn is given out twice, whatever the sizes', () => {
  // Any eight bytes in a row that two nonces share would be an accident of 2^-64.
  const seen = new Set<string>();
  let pieces = 0;
  for (let i = 0; i < 3_000; i += 1) {
    const nonce = freshNonce([12, 32, 16, 24][i % 4] ?? 12);
    for (let at = 0; at + 8 <= nonce.length; at += 1) {
      seen.add(nonce.toString('hex', at, at + 8));
      pieces += 1;
    }
  }
  expect(pieces).toBeGreaterThan(30_000);
  expect(seen.size).toBe(pieces);
});

test('what is given out is not overwritten by what is drawn later', () => {
  const nonces = Array.from({ length: 1_000 }, () => freshNonce(32));
  const before = nonces.map((nonce) => nonce.toString('hex'));
  for (let i = 0; i < 1_000; i += 1) freshNonce(32);
  expect(nonces.map((nonce) => nonce.toString('hex'))).toEqual(before);
});
