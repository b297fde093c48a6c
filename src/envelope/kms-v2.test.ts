import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EnvelopeError } from './errors.ts';
import { parseHeader } from './header.ts';
import { CounterNonces, decodeKmsV2, openKmsV2, sealKmsV2, sealKmsV2WithKey } from './kms-v2.ts';
import { lengthDelimited, varintField } from './wire-by-hand.test-helper.ts';

const etcdKey = '/registry/secrets/default/a';
const plaintext = Buffer.from('k8s\0 an object');

/** AES-GCM as the format description has it: nonce ‖ ciphertext ‖ tag. */
function gcm(key: Buffer, nonce: Buffer, aad = etcdKey): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(aad));
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function valueOf(...fields: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('k8s:enc:kms:v2:vault:'), ...fields]);
}

function open(value: Buffer, dekSource: Buffer, key = etcdKey): Buffer {
  return openKmsV2(decodeKmsV2(value), key, dekSource);
}

const seal = (over: Partial<Parameters<typeof sealKmsV2>[0]> = {}) => ({
  providerName: 'vault',
  etcdKey,
  plaintext,
  seed: Buffer.alloc(32, 5),
  keyId: 'key-1',
  encryptedDekSource: Buffer.from('sealed seed'),
  ...over,
});

describe('a value built by hand from the format description', () => {
  it('opens with the seed when its source type is 1', () => {
    const seed = Buffer.alloc(32, 9);
    const info = Buffer.alloc(32, 3);
    const key = createHmac('sha256', seed)
      .update(Buffer.concat([info, Buffer.of(1)]))
      .digest();
    const data = Buffer.concat([info, gcm(key, Buffer.alloc(12, 2))]);
    const value = valueOf(
      lengthDelimited(1, data),
      lengthDelimited(2, Buffer.from('key-1')),
      lengthDelimited(3, Buffer.from('sealed')),
      varintField(5, 1),
    );
    expect(open(value, seed)).toEqual(plaintext);
  });

  it('opens with the AES key itself when its source type is 0', () => {
    const key = Buffer.alloc(32, 4);
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64LE(17n);
    const data = gcm(key, Buffer.concat([Buffer.alloc(4, 1), counter]));
    const value = valueOf(
      lengthDelimited(1, data),
      lengthDelimited(2, Buffer.from('key-1')),
      lengthDelimited(3, Buffer.from('sealed')),
    );
    expect(decodeKmsV2(value).dekSourceType).toBe('aes-gcm-key');
    expect(open(value, key)).toEqual(plaintext);
  });
});

describe('a sealed value', () => {
  it('opens again, with everything the plugin needs to decrypt its seed', () => {
    const annotations = { 'version.example.com': Buffer.from('3') };
    const value = sealKmsV2(seal({ annotations }));
    const object = decodeKmsV2(value);
    expect(object).toMatchObject({
      providerName: 'vault',
      keyId: 'key-1',
      dekSourceType: 'hkdf-sha256-seed',
    });
    expect(object.encryptedDekSource.toString()).toBe('sealed seed');
    expect(object.annotations['version.example.com']?.toString()).toBe('3');
    expect(openKmsV2(object, etcdKey, Buffer.alloc(32, 5))).toEqual(plaintext);
  });

  it('has a header that says the same', () => {
    expect(parseHeader(sealKmsV2(seal()))).toMatchObject({
      provider: 'kms',
      version: 'v2',
      name: 'vault',
      keyId: 'key-1',
      dekSourceType: 'hkdf-sha256-seed',
    });
  });

  it('never repeats its key and nonce: sealing twice gives other bytes all through', () => {
    const [a, b] = [decodeKmsV2(sealKmsV2(seal())), decodeKmsV2(sealKmsV2(seal()))];
    expect(a.encryptedData.subarray(0, 32)).not.toEqual(b.encryptedData.subarray(0, 32));
    expect(a.encryptedData.subarray(32, 44)).not.toEqual(b.encryptedData.subarray(32, 44));
  });

  it('does not open under another etcd key or another seed', () => {
    const value = sealKmsV2(seal());
    const refused = expect.objectContaining({ code: 'EnvelopeNotAuthentic' });
    expect(() => open(value, Buffer.alloc(32, 5), '/registry/secrets/default/b')).toThrow(refused);
    expect(() => open(value, randomBytes(32))).toThrow(refused);
  });

  it('opens as what was sealed, whatever that was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ minLength: 1 }), (bytes, key) => {
        const content = Buffer.from(bytes);
        expect(open(sealKmsV2(seal({ plaintext: content, etcdKey: key })), Buffer.alloc(32, 5), key)).toEqual(
          content,
        );
      }),
    );
  });

  it('never opens as another plaintext when any of its bytes are changed', () => {
    const value = sealKmsV2(seal());
    const mutation = fc.record({ at: fc.nat(value.length - 1), by: fc.integer({ min: 1, max: 255 }) });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        const changed = Buffer.from(value);
        for (const { at, by } of mutations) changed[at] = (changed[at] ?? 0) ^ by;
        try {
          // A changed key id or annotation is outside the authenticated data: then the plaintext is the same.
          expect(open(changed, Buffer.alloc(32, 5))).toEqual(plaintext);
        } catch (error) {
          expect(error).toBeInstanceOf(EnvelopeError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('cut short anywhere does not open', () => {
    const value = sealKmsV2(seal());
    for (let length = 0; length < value.length; length++) {
      const cut = value.subarray(0, length);
      // The last field is the source type: without it the bytes are a value of the older kind, and don't authenticate.
      expect(() => open(cut, Buffer.alloc(32, 5))).toThrow(EnvelopeError);
    }
  });
});

describe('a value that the API server refuses', () => {
  const good = {
    data: lengthDelimited(1, Buffer.alloc(100, 7)),
    keyId: lengthDelimited(2, Buffer.from('key-1')),
    source: lengthDelimited(3, Buffer.from('sealed')),
  };
  const annotation = (name: Buffer) => lengthDelimited(4, lengthDelimited(1, name));

  it.each([
    ['without data', { data: Buffer.alloc(0) }],
    ['without a key id', { keyId: Buffer.alloc(0) }],
    ['with a key id that is not UTF-8', { keyId: lengthDelimited(2, Buffer.of(0xff)) }],
    ['with a key id of 1025 bytes', { keyId: lengthDelimited(2, Buffer.alloc(1025, 0x61)) }],
    ['without a DEK source', { source: Buffer.alloc(0) }],
    ['with a DEK source of 1025 bytes', { source: lengthDelimited(3, Buffer.alloc(1025)) }],
    ['with a DEK source type of later', { type: varintField(5, 2) }],
    ['with an annotation that is no domain name', { annotations: annotation(Buffer.from('plain')) }],
    [
      'with an annotation name that is not UTF-8',
      { annotations: annotation(Buffer.from([0x61, 0x2e, 0xff])) },
    ],
    ['with a field that runs past the end', { type: Buffer.of(0x0a, 0x7f) }],
  ])('%s is neither taken apart nor given a header', (_, over) => {
    const value = valueOf(...Object.values({ ...good, ...over }));
    expect(() => decodeKmsV2(value)).toThrow(EnvelopeError);
    expect(parseHeader(value).provider).toBe('unknown');
  });

  it('but its parts alone are good', () => {
    expect(decodeKmsV2(valueOf(...Object.values(good))).keyId).toBe('key-1');
  });
});

describe('a value under the AES key itself', () => {
  const older = (nonces = new CounterNonces()) =>
    sealKmsV2WithKey({
      providerName: 'vault',
      etcdKey,
      plaintext,
      dek: Buffer.alloc(32, 4),
      nonces,
      keyId: 'key-1',
      encryptedDekSource: Buffer.from('sealed'),
    });

  it('opens again, and says what it is', () => {
    expect(open(older(), Buffer.alloc(32, 4))).toEqual(plaintext);
    expect(decodeKmsV2(older()).dekSourceType).toBe('aes-gcm-key');
  });

  it('has a nonce that counts as that of Kubernetes does', () => {
    const nonces = new CounterNonces();
    const counts = [older(nonces), older(nonces)].map((value) =>
      decodeKmsV2(value).encryptedData.readBigUInt64LE(4),
    );
    expect(counts).toEqual([1_000_000_001n, 1_000_000_002n]);
  });
});

describe('what the API server would refuse is not sealed', () => {
  it.each([
    ['a provider name with a colon', { providerName: 'a:b' }],
    ['no provider name', { providerName: '' }],
    ['a seed of 31 bytes', { seed: Buffer.alloc(31) }],
    ['no key id', { keyId: '' }],
    ['a key id of 1025 bytes', { keyId: 'é'.repeat(512) + 'a' }],
    ['no encrypted seed', { encryptedDekSource: Buffer.alloc(0) }],
    ['an encrypted seed of 1025 bytes', { encryptedDekSource: Buffer.alloc(1025) }],
    ['an annotation without a domain', { annotations: { plain: Buffer.alloc(1) } }],
    ['annotations over 32 KiB', { annotations: { 'a.b': Buffer.alloc(32 * 1024 - 2) } }],
  ])('%s', (_, over) => {
    expect(() => sealKmsV2(seal(over))).toThrow(expect.objectContaining({ code: 'EnvelopeLimit' }));
  });

  it('but at the limits it is', () => {
    const value = sealKmsV2(
      seal({
        keyId: 'é'.repeat(512),
        encryptedDekSource: Buffer.alloc(1024, 1),
        annotations: { 'a.b.': Buffer.alloc(32 * 1024 - 4) },
      }),
    );
    expect(open(value, Buffer.alloc(32, 5))).toEqual(plaintext);
  });
});
