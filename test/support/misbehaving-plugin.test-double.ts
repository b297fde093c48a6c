import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  DecryptResponseSchema,
  EncryptResponseSchema,
  StatusResponseSchema,
  type DecryptRequest,
  type DecryptResponse,
  type EncryptRequest,
  type EncryptResponse,
  type StatusRequest,
  type StatusResponse,
} from '../../src/kms-plugin/gen/kms-v2_pb.ts';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { answering } from '../../src/kms-plugin/mock-plugin.test-helper.ts';
import { keyManagementService } from '../../src/kms-plugin/service.ts';

/**
 * A KMS v2 plugin for tests that does what none should: its Status says that it isn't well, and names another key id than the
 * plugins of the other nodes, under which it then seals. It opens what another plugin sealed, as one that was rotated would.
 * Mended, it is a plugin like the other, but still opens what it sealed.
 */
export class MisbehavingTestDoublePlugin {
  readonly #server = new Server();
  readonly #other: KmsPluginClient;
  readonly #keyId: string;
  readonly #key = randomBytes(32);
  #mended = false;

  private constructor(other: KmsPluginClient, keyId: string) {
    this.#other = other;
    this.#keyId = keyId;
    this.#server.addService(keyManagementService, {
      status: answering<StatusRequest, StatusResponse>(() => this.#status()),
      encrypt: answering<EncryptRequest, EncryptResponse>((request) => this.#encrypt(request)),
      decrypt: answering<DecryptRequest, DecryptResponse>((request) => this.#decrypt(request)),
    });
  }

  /**
   * @param socket - where it listens; nobody may
   * @param otherSocket - of the plugin that opens what isn't its own
   */
  static async start(
    socket: string,
    otherSocket: string,
    keyId: string,
  ): Promise<MisbehavingTestDoublePlugin> {
    const plugin = new MisbehavingTestDoublePlugin(new KmsPluginClient(`unix://${otherSocket}`), keyId);
    await new Promise<void>((resolve, reject) => {
      plugin.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return plugin;
  }

  mend(): void {
    this.#mended = true;
  }

  stop(): Promise<void> {
    this.#server.forceShutdown();
    this.#other.close();
    return Promise.resolve();
  }

  async #status(): Promise<StatusResponse> {
    const said = this.#mended
      ? await this.#other.status()
      : { version: 'v2', healthz: 'the key is disabled', keyId: this.#keyId };
    return create(StatusResponseSchema, said);
  }

  async #encrypt({ plaintext, uid }: EncryptRequest): Promise<EncryptResponse> {
    const sealed = this.#mended
      ? await this.#other.encrypt(Buffer.from(plaintext), uid)
      : { ciphertext: seal(this.#key, plaintext), keyId: this.#keyId };
    return create(EncryptResponseSchema, sealed);
  }

  async #decrypt({ ciphertext, keyId, uid, ...request }: DecryptRequest): Promise<DecryptResponse> {
    const annotations = Object.fromEntries(
      Object.entries(request.annotations).map(([name, bytes]) => [name, Buffer.from(bytes)]),
    );
    const plaintext =
      keyId === this.#keyId
        ? open(this.#key, ciphertext)
        : await this.#other.decrypt({ ciphertext: Buffer.from(ciphertext), keyId, annotations }, uid);
    return create(DecryptResponseSchema, { plaintext });
  }
}

function seal(key: Buffer, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, ciphertext: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, ciphertext.subarray(0, 12));
  decipher.setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([decipher.update(ciphertext.subarray(12, -16)), decipher.final()]);
}
