import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { contextFingerprint, formatAwsKmsKeyId, parseAwsKmsKeyId } from './aws-kms-key-id.ts';
import { formatAwsKmsKeyArn, parseAwsKmsKeyRef } from './aws-kms-key-ref.ts';

const uuid = '1234abcd-12ab-34cd-56ef-1234567890ab';
const mrk = 'mrk-1234abcd12ab34cd56ef1234567890ab';
const material = 'ab'.repeat(32);
const id = { service: 'prod', account: '111122223333', key: uuid };
const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));

describe('the key id of a key of AWS KMS', () => {
  it('names service, account and key; no Region', () => {
    expect(formatAwsKmsKeyId(id)).toBe(`aws-kms:prod/111122223333/${uuid}`);
  });

  it('names the alias and since when it leads there, the encryption context, and the material', () => {
    const alias = { name: 'alias/team/keyferry', updatedAt: 1_700_000_000_123 };
    expect(formatAwsKmsKeyId({ ...id, key: mrk, alias, context: '0123456789abcdef', material })).toBe(
      `aws-kms:prod/111122223333/alias/team/keyferry@1700000000123/${mrk}/context=0123456789abcdef/material=${material}`,
    );
  });

  it('reads back as what it was made of, so two keys never share one', () => {
    const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
    const ids = fc
      .record({
        service: fc.stringMatching(/^[A-Za-z0-9][-_.A-Za-z0-9]{0,10}$/),
        account: fc.stringMatching(/^[0-9]{12}$/),
        alias: optional(
          fc.record({
            name: fc.stringMatching(/^alias\/[A-Za-z0-9/_-]{1,20}$/),
            updatedAt: fc.integer({ min: 1, max: 99_999_999_999_999 }),
          }),
        ),
        key: fc.constantFrom(uuid, mrk),
        context: optional(hex(16)),
        material: optional(hex(64)),
      })
      .map(({ alias, context, material: of, ...rest }) => ({
        ...rest,
        ...(alias === undefined ? {} : { alias }),
        ...(context === undefined ? {} : { context }),
        ...(of === undefined ? {} : { material: of }),
      }));
    fc.assert(fc.property(ids, (any) => expect(parseAwsKmsKeyId(formatAwsKmsKeyId(any))).toEqual(any)));
  });

  it.each([
    '',
    'vault-transit:s/m/k/v1@1',
    `aws-kms:prod/${uuid}`,
    `aws-kms:prod/1111/${uuid}`,
    `aws-kms:prod/111122223333/${uuid}0`,
    `aws-kms:prod/111122223333/${uuid}/material=${material}0`,
    `aws-kms:prod/111122223333/alias/x/${uuid}`,
    `aws-kms:prod/111122223333/alias/x@0/${uuid}`,
    `aws-kms:prod/111122223333/${uuid}/material=${material}/context=0123456789abcdef`,
  ])('is not read out of %p', (text) => expect(parseAwsKmsKeyId(text)).toBeUndefined());
});

describe('the fingerprint of an encryption context', () => {
  it('depends on names and values, and not on their order', () => {
    const one = contextFingerprint({ a: '1', b: '2' });
    expect(contextFingerprint({ b: '2', a: '1' })).toBe(one);
    const others = [{ a: '1' }, { a: '2', b: '1' }, { a: '1', b: '2', c: '' }, { a: '1","b","2' }];
    expect(new Set([one, ...others.map(contextFingerprint)]).size).toBe(5);
  });

  it('is none without a context', () => expect(contextFingerprint({})).toBeUndefined());
});

describe('the reference to a key of AWS KMS', () => {
  it.each([
    `arn:aws:kms:eu-central-1:111122223333:key/${uuid}`,
    `arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/${mrk}`,
    `arn:aws-cn:kms:cn-north-1:111122223333:key/${uuid}`,
  ])('%s reads back as it is', (arn) => {
    const ref = parseAwsKmsKeyRef(arn);
    expect(ref?.type === 'key' && formatAwsKmsKeyArn(ref)).toBe(arn);
  });

  it.each([
    'alias/',
    'alias/a b',
    uuid,
    `arn:aws:kms:eu-central-1:1:key/${uuid}`,
    `arn:aws:s3:eu-central-1:111122223333:key/${uuid}`,
    `arn:aws:kms:eu-central-1:111122223333:key/../${uuid}`,
  ])('is not read out of %p', (text) => expect(parseAwsKmsKeyRef(text)).toBeUndefined());
});
