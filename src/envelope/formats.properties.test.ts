import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EnvelopeChain } from './chain.ts';
import { EnvelopeError } from './errors.ts';
import { CounterNonces, sealKmsV2WithKey } from './kms-v2.ts';
import {
  identityProvider,
  kmsV1Provider,
  kmsV2Provider,
  localProvider,
  type EnvelopeProvider,
} from './providers.ts';

const etcdKey = Buffer.from('/registry/secrets/default/a');
const seed = Buffer.alloc(32, 5);
const dek = Buffer.alloc(32, 6);
const sealed = { keyId: 'key-1', encryptedDekSource: Buffer.from('sealed') };

const kmsV2 = (source: Buffer): EnvelopeProvider =>
  kmsV2Provider('vault', {
    decrypt: () => Promise.resolve(source),
    keyId: () => Promise.resolve('key-1'),
    writer: () =>
      Promise.resolve({ ...sealed, seed: source, annotations: { 'a.example.com': Buffer.of(1) } }),
  });

/** Reads as kms v2 does, writes as Kubernetes before 1.29 did. */
function kmsV2OfOld(): EnvelopeProvider {
  const nonces = new CounterNonces();
  return {
    ...kmsV2(dek),
    seal: (plaintext, key) =>
      sealKmsV2WithKey({ ...sealed, providerName: 'vault', dek, nonces, plaintext, etcdKey: key }),
  };
}

const authenticated: readonly (readonly [string, (keyName: string) => EnvelopeProvider])[] = [
  ['aesgcm of 16 bytes', (name) => localProvider('aesgcm', name, Buffer.alloc(16, 1))],
  ['aesgcm of 32 bytes', (name) => localProvider('aesgcm', name, Buffer.alloc(32, 1))],
  ['secretbox', (name) => localProvider('secretbox', name, Buffer.alloc(32, 2))],
  ['kms v2 under a seed', () => kmsV2(seed)],
  ['kms v2 under a key', kmsV2OfOld],
];

const formats: typeof authenticated = [
  ...authenticated,
  ['aescbc of 24 bytes', (name) => localProvider('aescbc', name, Buffer.alloc(24, 3))],
  ['identity', () => identityProvider()],
];

const objects = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 100 }).map((text) => Buffer.from(text)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(0, 1, 4095, 4096, 65_537, 2 ** 20 - 1, 2 ** 20)
      .chain((size) => fc.nat(255).map((byte) => Buffer.alloc(size, byte))),
  },
);
const names = fc.oneof(
  fc.constantFrom('key1', 'a:b', ':', '::', 'v1:k8s:enc:', 'ключ', '𝄞', ' ', '\n', '\0'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
);

describe.each(formats)('%s', (_, provider) => {
  it('opens what it sealed, of any size and content, under any name and etcd key', async () => {
    await fc.assert(
      fc.asyncProperty(objects, names, names, async (plaintext, name, key) => {
        const chain = new EnvelopeChain([provider(name)]);
        const at = Buffer.from(`/registry/secrets/${key}`);
        const value = await chain.seal(plaintext, at);
        const opened = await chain.open(value, at);
        // Compared as bytes: a matcher that prints a MiB in hex takes minutes to fail.
        expect(opened.plaintext.equals(plaintext)).toBe(true);
      }),
      { numRuns: 120 },
    );
  });

  it('never seals the same bytes twice', async () => {
    const chain = new EnvelopeChain([provider('key1')]);
    const [a, b] = [await chain.seal(etcdKey, etcdKey), await chain.seal(etcdKey, etcdKey)];
    expect(a.equals(b)).toBe(provider('key1').prefix.length === 0);
  });
});

type Mutation = (value: Buffer) => Buffer;

const flips = fc
  .array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
  .map<Mutation>((changes) => (value) => {
    const changed = Buffer.from(value);
    for (const [at, by] of changes) changed[at % value.length] = (changed[at % value.length] ?? 0) ^ by;
    return changed;
  });
const cuts = fc.tuple(fc.nat(), fc.nat(40)).map<Mutation>(([at, length]) => (value) => {
  const from = at % value.length;
  return Buffer.concat([value.subarray(0, from), value.subarray(from + length)]);
});
const inserts = fc
  .tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 40 }))
  .map<Mutation>(([at, bytes]) => (value) => {
    const from = at % (value.length + 1);
    return Buffer.concat([value.subarray(0, from), bytes, value.subarray(from)]);
  });
const mutations = fc.oneof(flips, cuts, inserts);

/** In all more than 10,000 changed values. */
const MUTATED = 2_500;

describe.each(authenticated)('%s, when its value was changed', (_, provider) => {
  it('never crashes, and never opens as another plaintext', async () => {
    const plaintext = Buffer.from('k8s\0 an object of some length, over more than one block');
    const chain = new EnvelopeChain([provider('key1')]);
    const value = await chain.seal(plaintext, etcdKey);
    await fc.assert(
      fc.asyncProperty(mutations, async (mutate) => {
        // A key id or an annotation may change: who decrypts the DEK looks at them. The plaintext stays the same then.
        await chain.open(mutate(value), etcdKey).then(
          (opened) => expect(opened.plaintext).toEqual(plaintext),
          (error: unknown) => expect(error).toBeInstanceOf(EnvelopeError),
        );
      }),
      { numRuns: MUTATED },
    );
  });
});

describe('a format that authenticates nothing, when its value was changed', () => {
  it.each([
    ['aescbc', localProvider('aescbc', 'key1', Buffer.alloc(32, 3))],
    ['identity', identityProvider()],
  ])('%s opens as something or is refused, and never crashes', async (_, provider) => {
    const chain = new EnvelopeChain([provider]);
    const value = await chain.seal(Buffer.from('k8s\0 an object'), etcdKey);
    await fc.assert(
      fc.asyncProperty(mutations, async (mutate) => {
        await chain.open(mutate(value), etcdKey).then(
          (opened) => expect(opened.plaintext).toBeInstanceOf(Buffer),
          (error: unknown) => expect(error).toBeInstanceOf(EnvelopeError),
        );
      }),
      { numRuns: MUTATED },
    );
  });
});

describe('any bytes', () => {
  const chain = new EnvelopeChain([
    localProvider('aescbc', 'k', Buffer.alloc(16, 1)),
    localProvider('aesgcm', 'k', Buffer.alloc(16, 1)),
    localProvider('secretbox', 'k', Buffer.alloc(32, 1)),
    kmsV1Provider('k', { decrypt: () => Promise.resolve(dek) }),
    kmsV2(seed),
    identityProvider(),
  ]);
  const prefixes = [
    '',
    'k8s:enc:',
    'k8s:enc:aescbc:v1:k:',
    'k8s:enc:aesgcm:v1:k:',
    'k8s:enc:secretbox:v1:k:',
  ];

  it('are opened or refused, and never crash', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...prefixes, 'k8s:enc:kms:v1:k:', 'k8s:enc:kms:v2:vault:'),
        fc.uint8Array({ maxLength: 200 }),
        async (prefix, bytes) => {
          const value = Buffer.concat([Buffer.from(prefix), bytes]);
          await chain.open(value, randomBytes(4)).catch((error: unknown) => {
            expect(error).toBeInstanceOf(EnvelopeError);
          });
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
