import { describe, expect, it } from '@jest/globals';
import { sealKmsV2 } from './kms-v2.ts';
import { envelopeBytes } from './overhead.ts';
import { localProvider } from './providers.ts';

const ETCD_KEY = Buffer.from('/registry/secrets/default/a');

describe.each([20, 1_000, 100_000])('the envelope of an object of %i bytes', (bytes) => {
  const plaintext = Buffer.alloc(bytes, 1);

  it.each(['aescbc', 'aesgcm', 'secretbox'] as const)('is what %s adds, within its padding', async (type) => {
    const value = await localProvider(type, 'key1', Buffer.alloc(32, 1)).seal(plaintext, ETCD_KEY);
    const told = envelopeBytes({ type, keyName: 'key1' }, 0);
    expect(told).toBeGreaterThanOrEqual(value.length - bytes);
    expect(told - (value.length - bytes)).toBeLessThan(type === 'aescbc' ? 16 : 1);
  });

  it('is what kms v2 adds, but for a few bytes of lengths', () => {
    const seal = {
      providerName: 'vault',
      seed: Buffer.alloc(32, 5),
      keyId: 'vault-transit:lab/transit/keyferry/v1@1',
      encryptedDekSource: Buffer.alloc(61, 1),
    };
    const value = sealKmsV2({ ...seal, etcdKey: ETCD_KEY, plaintext });
    const told = envelopeBytes({ type: 'kms', name: 'vault' }, seal.keyId.length + 61);
    expect(told).toBeGreaterThanOrEqual(value.length - bytes);
    expect(told - (value.length - bytes)).toBeLessThanOrEqual(4);
  });

  it('is none of what is not encrypted', () => expect(envelopeBytes({ type: 'identity' }, 300)).toBe(0));
});
