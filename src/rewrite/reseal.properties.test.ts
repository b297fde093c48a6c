import { randomBytes } from 'node:crypto';
import { describe, it, expect } from '@jest/globals';
import fc from 'fast-check';
import { EnvelopeChain } from '../envelope/chain.ts';
import {
  identityProvider,
  kmsV2Provider,
  localProvider,
  type EnvelopeProvider,
} from '../envelope/providers.ts';
import { reseal } from './reseal.ts';

/** A plugin whose DEK sources are the seeds themselves, and that has this key id now. */
function kms(name: string, keyId: string): EnvelopeProvider {
  const seed = randomBytes(32);
  return kmsV2Provider(name, {
    decrypt: ({ encryptedDekSource }) => Promise.resolve(encryptedDekSource),
    keyId: () => Promise.resolve(keyId),
    writer: () => Promise.resolve({ seed, keyId, encryptedDekSource: seed }),
  });
}

/** By side: two of a kind have other names and keys. */
const providers = (side: string): EnvelopeProvider[] => [
  identityProvider(),
  localProvider('aescbc', side, randomBytes(32)),
  localProvider('aesgcm', side, randomBytes(32)),
  localProvider('secretbox', side, randomBytes(32)),
  kms(side, `${side}-key`),
];
const side = (name: string) => fc.constantFrom(...providers(name));
const objects = fc
  .tuple(fc.constantFrom('k8s\0', '{'), fc.string({ maxLength: 2_000 }))
  .map(([start, rest]) => Buffer.from(start + rest));
const keys = fc
  .tuple(fc.constantFrom('secrets', 'example.com/widgets'), fc.string({ minLength: 1, maxLength: 60 }))
  .map((parts) => Buffer.from(`/registry/${parts.join('/')}`));

describe('whatever the engine seals', () => {
  it('an API server opens that has either side first, as the very object, and finds current where the target is first', async () => {
    await fc.assert(
      fc.asyncProperty(side('old'), side('new'), objects, keys, async (source, target, object, key) => {
        const targetFirst = new EnvelopeChain([target, source]);
        const sourceFirst = new EnvelopeChain([source, target]);
        const before = Buffer.from(await source.seal(Buffer.from(object), key));
        const resealed = await reseal(targetFirst, before, key);
        if (source.prefix.length === 0 && target.prefix.length === 0) {
          expect(resealed).toEqual({ kind: 'current' });
          return;
        }
        if (resealed.kind !== 'sealed') throw new Error(resealed.kind);
        const { value } = resealed;
        expect(await targetFirst.open(value, key)).toEqual({ plaintext: object, stale: false });
        expect(await sourceFirst.open(value, key)).toEqual({ plaintext: object, stale: true });
        expect(await reseal(targetFirst, Buffer.from(value), key)).toEqual({ kind: 'current' });
      }),
    );
  });
});
