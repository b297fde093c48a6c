import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { AwsKmsMock, describedKey, secretAccessKey, type MockAnswer } from './aws-kms-mock.test-helper.ts';
import type { AwsKmsKeyService } from './aws-kms.ts';
import { letAMinutePass } from './key-service.contract.test-helper.ts';

const arn = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const seed = Buffer.from('a seed that nobody may ever see.');
const [oldMaterial, newMaterial] = ['0a'.repeat(32), '0b'.repeat(32)];

let aws: AwsKmsMock;
let keys: AwsKmsKeyService;

beforeEach(async () => {
  aws = await AwsKmsMock.start();
  keys = aws.service(arn);
});

afterEach(async () => {
  jest.restoreAllMocks();
  await aws.stop();
});

const refusal = (name: string, status = 400): MockAnswer => ({
  status,
  body: { __type: name, message: `it was ${seed.toString('base64')}` },
});

describe('AWS KMS that answers', () => {
  it.each([
    ['that there are too many requests', refusal('ThrottlingException'), 'UnavailableAwsKms', 'unavailable'],
    ['with an error of its own', refusal('KMSInternalException', 500), 'UnavailableAwsKms', 'unavailable'],
    ['an error that nobody knows', refusal('SomethingNewException'), 'AwsKmsRefused', 'denied'],
    ['a page of a proxy', { status: 200, body: '<html>' }, 'AwsKmsAnswerUnexpected', 'unavailable'],
    ['nothing of the key', { body: {} }, 'AwsKmsAnswerUnexpected', 'unavailable'],
  ] as const)('%s is told, without what it says', async (_, bad, code, kind) => {
    aws.answer = () => bad;
    const error: unknown = await keys.current().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, kind, remedy: expect.stringMatching(/\w/) });
    const whole = inspect(error, { depth: 20, showHidden: true });
    for (const secret of [seed.toString('base64'), secretAccessKey]) expect(whole).not.toContain(secret);
  });

  it('from a machine that lags behind a rotation does not bring the id before it back', async () => {
    let told = oldMaterial;
    aws.answer = () => describedKey(arn, told);
    const before = await keys.current();
    told = newMaterial;
    letAMinutePass();
    const after = await keys.current();
    expect(after.keyId).not.toBe(before.keyId);
    told = oldMaterial;
    letAMinutePass();
    letAMinutePass();
    expect((await keys.current()).keyId).toBe(after.keyId);
  });

  it('another plaintext than it was given to seal is not trusted with it', async () => {
    aws.answer = (action) => {
      if (action === 'DescribeKey') return describedKey(arn, oldMaterial);
      return action === 'Encrypt'
        ? { body: { KeyId: arn, CiphertextBlob: 'AAAA' } }
        : { body: { KeyId: arn, Plaintext: 'AAAA', KeyMaterialId: oldMaterial } };
    };
    await expect(keys.encrypt(seed, await keys.current())).rejects.toMatchObject({
      code: 'AwsKmsAnswerUnexpected',
      kind: 'unavailable',
    });
  });
});
