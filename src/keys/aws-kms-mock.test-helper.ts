import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseAwsKmsKeyRef } from './aws-kms-key-ref.ts';
import { AwsKmsKeyService } from './aws-kms.ts';

export interface MockAnswer {
  readonly status?: number;
  /** A text as it is, anything else as JSON. */
  readonly body: unknown;
}

export const secretAccessKey = 'a-secret-key-of-a-test';

/** A mock that answers in AWS KMS's place what the emulator never does. */
export class AwsKmsMock {
  /** What it was asked, by the names of AWS's actions. */
  readonly asked: string[] = [];
  answer: (action: string, body: string) => MockAnswer = () => ({ status: 500, body: '' });
  readonly #server: Server;
  readonly #services: AwsKmsKeyService[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const action = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
        this.asked.push(action);
        const { status = 200, body } = this.answer(action, Buffer.concat(chunks).toString());
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    });
  }

  static async start(): Promise<AwsKmsMock> {
    const mock = new AwsKmsMock();
    await new Promise<void>((resolve) => mock.#server.listen(0, '127.0.0.1', resolve));
    process.env['AWS_ACCESS_KEY_ID'] = 'AKIAEXAMPLE';
    process.env['AWS_SECRET_ACCESS_KEY'] = secretAccessKey;
    return mock;
  }

  /** @param ref - a key ARN or an alias */
  service(ref: string): AwsKmsKeyService {
    const key = parseAwsKmsKeyRef(ref);
    if (key === undefined) throw new Error(`${ref} is neither a key ARN nor an alias`);
    const service = new AwsKmsKeyService({
      service: 'mock',
      key,
      region: 'eu-central-1',
      endpoint: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      encryptionContext: {},
      credentials: { base: { type: 'default' } },
      retryMode: 'standard',
      maxAttempts: 2,
      timeoutMs: 1_000,
    });
    this.#services.push(service);
    return service;
  }

  async stop(): Promise<void> {
    delete process.env['AWS_ACCESS_KEY_ID'];
    delete process.env['AWS_SECRET_ACCESS_KEY'];
    await Promise.all(this.#services.map((service) => service.close()));
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** DescribeKey's answer about a key that can be used. */
export function describedKey(arn: string, material: string, state = 'Enabled'): MockAnswer {
  return {
    body: {
      KeyMetadata: {
        KeyId: arn.split('/').at(-1),
        Arn: arn,
        KeyState: state,
        KeyUsage: 'ENCRYPT_DECRYPT',
        KeySpec: 'SYMMETRIC_DEFAULT',
        CurrentKeyMaterialId: material,
      },
    },
  };
}
