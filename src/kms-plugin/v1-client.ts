import { create } from '@bufbuild/protobuf';
import { KeyferryError } from '../errors.ts';
import { PluginConnection } from './connection.ts';
import { DecryptRequestSchema, DecryptResponseSchema } from './gen/kms-v1_pb.ts';
import { unaryMethod } from './service.ts';

/** The one method of Kubernetes' KMS v1 protocol that is used: leftovers are read, nothing is written. */
export const kmsV1Decrypt = unaryMethod(
  '/v1beta1.KeyManagementService/Decrypt',
  DecryptRequestSchema,
  DecryptResponseSchema,
);

/** Has a KMS v1 plugin decrypt DEKs. */
export class KmsV1PluginClient {
  readonly #connection: PluginConnection;
  readonly #endpoint: string;

  /**
   * @param endpoint - `unix:///absolute/path`
   * @param timeoutMs - deadline of each call in milliseconds
   * @throws KeyferryError `PluginEndpointInvalid`
   */
  constructor(endpoint: string, timeoutMs: number) {
    this.#connection = new PluginConnection(endpoint, timeoutMs);
    this.#endpoint = endpoint;
  }

  /** @throws KeyferryError as `KmsPluginClient` does, `PluginNotV1` where the plugin speaks another protocol */
  async decrypt(cipher: Buffer): Promise<Buffer> {
    try {
      const request = create(DecryptRequestSchema, { version: 'v1beta1', cipher });
      return Buffer.from((await this.#connection.call('Decrypt', kmsV1Decrypt, request)).plain);
    } catch (error) {
      if (!(error instanceof KeyferryError) || error.code !== 'PluginNotV2') throw error;
      throw new KeyferryError('PluginNotV1', `what listens at ${this.#endpoint} does not speak KMS v1`, {
        remedy: 'point the endpoint of the kms v1 entry at the plugin that its values were written with',
      });
    }
  }

  close(): void {
    this.#connection.close();
  }
}
