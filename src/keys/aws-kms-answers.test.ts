import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { parseAwsKmsKeyRef } from './aws-kms-key-ref.ts';
import { AwsKmsKeyService } from './aws-kms.ts';
import { letAMinutePass } from './key-service.contract.test-helper.ts';

const arn = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const seed = Buffer.from('a seed that nobody may ever see.');
const [oldMaterial, newMaterial] = ['0a'.repeat(32), '0b'.repeat(32)];

interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

/** A mock that answers in AWS KMS's place what the emulator never does. */
let server: Server;
let answer: (action: string, body: string) => Answer;
let keys: AwsKmsKeyService;

beforeEach(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
      const { status = 200, body } = answer(action, Buffer.concat(chunks).toString());
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env['AWS_ACCESS_KEY_ID'] = 'AKIAEXAMPLE';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'a-secret-key-of-a-test';
  const key = parseAwsKmsKeyRef(arn);
  if (key === undefined) throw new Error(arn);
  keys = new AwsKmsKeyService({
    service: 'mock',
    key,
    region: 'eu-central-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    encryptionContext: {},
    credentials: { base: { type: 'default' } },
    retryMode: 'standard',
    maxAttempts: 2,
    timeoutMs: 1_000,
  });
});

afterEach(async () => {
  jest.restoreAllMocks();
  delete process.env['AWS_ACCESS_KEY_ID'];
  delete process.env['AWS_SECRET_ACCESS_KEY'];
  await keys.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const metadata = (material: string): Answer => ({
  body: {
    KeyMetadata: {
      KeyId: arn.split('/').at(-1),
      Arn: arn,
      KeyState: 'Enabled',
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      CurrentKeyMaterialId: material,
    },
  },
});
const refusal = (name: string, status = 400): Answer => ({
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
    answer = () => bad;
    const error: unknown = await keys.current().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, kind, remedy: expect.stringMatching(/\w/) });
    const whole = inspect(error, { depth: 20, showHidden: true });
    for (const secret of [seed.toString('base64'), 'a-secret-key-of-a-test'])
      expect(whole).not.toContain(secret);
  });

  it('from a machine that lags behind a rotation does not bring the id before it back', async () => {
    let told = oldMaterial;
    answer = () => metadata(told);
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
    answer = (action) => {
      if (action === 'DescribeKey') return metadata(oldMaterial);
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
