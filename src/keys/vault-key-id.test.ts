import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatVaultKeyId, parseVaultKeyId } from './vault-key-id.ts';

const id = {
  service: 'lab-vault',
  mount: 'team/transit',
  key: 'keyferry',
  version: 3,
  createdAt: 1_700_000_000,
};

describe('the key id of a Vault key', () => {
  it('names service, mount, key, version and when it was made', () => {
    expect(formatVaultKeyId(id)).toBe('vault-transit:lab-vault/team/transit/keyferry/v3@1700000000');
  });

  it('reads back as what it was made of, so two keys never share one', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9][-_.A-Za-z0-9]{0,10}$/);
    const ids = fc.record({
      service: part,
      mount: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
      key: part,
      version: fc.integer({ min: 1, max: 999_999_999 }),
      createdAt: fc.integer({ min: 1, max: 99_999_999_999 }),
    });
    const bound = fc.record({ associatedData: fc.stringMatching(/^[0-9a-f]{16}$/) });
    fc.assert(
      fc.property(ids, fc.option(bound), (any, data) => {
        const whole = { ...any, ...data };
        expect(parseVaultKeyId(formatVaultKeyId(whole))).toEqual(whole);
      }),
    );
  });

  it.each([
    '',
    'aws-kms:x',
    'vault-transit:s/m/k/v1',
    'vault-transit:s/k/v1@1',
    'vault-transit:s/m/k/v0@1',
    'vault-transit:s/m/k/v01@1',
    'vault-transit:s/m/k/v1@1 ',
    'vault-transit:s/m/k/v1@1/data=0',
  ])('is not read out of %p', (text) => expect(parseVaultKeyId(text)).toBeUndefined());
});
