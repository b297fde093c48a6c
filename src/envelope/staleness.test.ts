import { describe, expect, it } from '@jest/globals';
import { isOutside } from './staleness.ts';
import { type EnvelopeHeader, type EnvelopeTarget } from './types.ts';

const identity: EnvelopeHeader = { provider: 'identity', encoding: 'protobuf' };
const cbc: EnvelopeHeader = { provider: 'aescbc', keyName: 'k1', nameGuessed: false };
const kms: EnvelopeHeader = {
  provider: 'kms',
  version: 'v2',
  name: 'vault',
  keyId: 'id-1',
  dekSourceType: 'hkdf-sha256-seed',
  dekHash: '0000000000000000',
  annotations: [],
};
const kmsV1: EnvelopeHeader = { provider: 'kms', version: 'v1', name: 'vault', nameGuessed: false };

describe('a value is inside its target', () => {
  it.each<[string, EnvelopeHeader, EnvelopeTarget]>([
    ['identity in identity', identity, { type: 'identity' }],
    ['a local key in the same', cbc, { type: 'aescbc', keyName: 'k1' }],
    ['kms in its provider, with any key id', kms, { type: 'kms', name: 'vault' }],
    ['kms in its provider and key id', kms, { type: 'kms', name: 'vault', keyId: 'id-1' }],
    [
      'kms in its key id, after that came back',
      { ...kms, keyId: 'id-1;generation=2' },
      { type: 'kms', name: 'vault', keyId: 'id-1' },
    ],
    [
      'kms with an older source type',
      { ...kms, dekSourceType: 'aes-gcm-key' },
      { type: 'kms', name: 'vault' },
    ],
  ])('%s', (_, header, target) => expect(isOutside(header, target)).toBe(false));
});

describe('a value is outside its target', () => {
  it.each<[string, EnvelopeHeader, EnvelopeTarget]>([
    ['identity when all is to be encrypted', identity, { type: 'kms', name: 'vault' }],
    ['encrypted when all is to be identity', cbc, { type: 'identity' }],
    ['another key of the same provider', cbc, { type: 'aescbc', keyName: 'k2' }],
    ['a key of the same name of another provider', cbc, { type: 'aesgcm', keyName: 'k1' }],
    ['another kms provider', kms, { type: 'kms', name: 'other' }],
    ['another key id of the kms provider', kms, { type: 'kms', name: 'vault', keyId: 'id-2' }],
    ['kms from before its key id came back', kms, { type: 'kms', name: 'vault', keyId: 'id-1;generation=2' }],
    ['kms v1 of the same name', kmsV1, { type: 'kms', name: 'vault' }],
    ['a name that was guessed', { ...cbc, nameGuessed: true }, { type: 'aescbc', keyName: 'k1' }],
    ['an unknown value, for any target', { provider: 'unknown', reason: '' }, { type: 'identity' }],
  ])('%s', (_, header, target) => expect(isOutside(header, target)).toBe(true));
});
