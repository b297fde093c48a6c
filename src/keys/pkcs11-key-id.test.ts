import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatPkcs11KeyId, parsePkcs11KeyId, pkcs11Mechanisms } from './pkcs11-key-id.ts';

const id = { service: 'lab-hsm', id: '01ff', mechanism: 'AES-GCM', fingerprint: 'kcv-6d1d83' } as const;

describe('the key id of a key in an HSM', () => {
  it('names service, CKA_ID, mechanism and what tells the key from another', () => {
    expect(formatPkcs11KeyId(id)).toBe('pkcs11:lab-hsm/01ff/AES-GCM@kcv-6d1d83');
  });

  it('is read as it was written', () => {
    const ids = fc.record({
      service: fc.stringMatching(/^[A-Za-z0-9][-_.A-Za-z0-9]{0,20}$/),
      id: fc.stringMatching(/^([0-9a-f]{2}){1,16}$/),
      mechanism: fc.constantFrom(...pkcs11Mechanisms),
      fingerprint: fc.stringMatching(/^(spki|kcv)-[0-9a-f]{6,64}$/),
    });
    fc.assert(fc.property(ids, (any) => expect(parsePkcs11KeyId(formatPkcs11KeyId(any))).toEqual(any)));
  });

  it.each([
    '',
    'pkcs11:lab-hsm/01ff/AES-GCM',
    'pkcs11:lab-hsm/01f/AES-GCM@kcv-6d1d83',
    'pkcs11:lab-hsm/01FF/AES-GCM@kcv-6d1d83',
    'pkcs11:lab-hsm/01ff/AES-CBC@kcv-6d1d83',
    'pkcs11:lab-hsm/01ff/AES-GCM@6d1d83',
    'pkcs11:lab/hsm/01ff/AES-GCM@kcv-6d1d83',
    'vault-transit:lab-vault/transit/k/v1@1700000000',
    ' pkcs11:lab-hsm/01ff/AES-GCM@kcv-6d1d83',
  ])('%j is none', (text) => {
    expect(parsePkcs11KeyId(text)).toBeUndefined();
  });
});
