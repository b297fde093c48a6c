import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, status, type handleUnaryCall } from '@grpc/grpc-js';
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
} from './gen/kms-v2_pb.ts';
import { keyManagementService } from './service.ts';

interface Sealed {
  ciphertext: Buffer;
  keyId: string;
  annotations: Record<string, Buffer>;
}

/** What a mock plugin does; a test replaces the part that its mistake is in. What throws is answered with INTERNAL. */
export interface MockBehaviour {
  status(): { version: string; healthz: string; keyId: string } | Promise<never>;
  encrypt(plaintext: Buffer): Sealed;
  decrypt(sealed: Sealed): Buffer;
}

/** A plugin of keys in memory that does everything right. */
export function wellBehaved(keyId = 'mock/key/1'): MockBehaviour {
  const key = randomBytes(32);
  return {
    status: () => ({ version: 'v2', healthz: 'ok', keyId }),
    encrypt: (plaintext) => {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      const ciphertext = Buffer.concat([
        nonce,
        cipher.update(plaintext),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      return { ciphertext, keyId, annotations: { 'version.mock.example.com': Buffer.from('1') } };
    },
    decrypt: (sealed) => {
      if (sealed.keyId !== keyId) throw new Error('a key id of another key');
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.ciphertext.subarray(0, 12), {
        authTagLength: 16,
      });
      decipher.setAuthTag(sealed.ciphertext.subarray(-16));
      return Buffer.concat([decipher.update(sealed.ciphertext.subarray(12, -16)), decipher.final()]);
    },
  };
}

/** A KMS v2 plugin for tests of the linter: a mock, whose behaviour is the test's. */
export class MockPlugin {
  readonly #server = new Server();

  /** @param mode - permission bits of the socket */
  static async start(socket: string, behaviour: MockBehaviour, mode = 0o600): Promise<MockPlugin> {
    const plugin = new MockPlugin();
    plugin.#server.addService(keyManagementService, {
      status: answering<StatusRequest, StatusResponse>(async () =>
        create(StatusResponseSchema, await behaviour.status()),
      ),
      encrypt: answering<EncryptRequest, EncryptResponse>(({ plaintext }) =>
        create(EncryptResponseSchema, behaviour.encrypt(Buffer.from(plaintext))),
      ),
      decrypt: answering<DecryptRequest, DecryptResponse>(({ ciphertext, keyId, annotations }) => {
        const sealed = {
          ciphertext: Buffer.from(ciphertext),
          keyId,
          annotations: Object.fromEntries(
            Object.entries(annotations).map(([name, bytes]) => [name, Buffer.from(bytes)]),
          ),
        };
        return create(DecryptResponseSchema, { plaintext: behaviour.decrypt(sealed) });
      }),
    });
    await new Promise<void>((resolve, reject) => {
      plugin.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    chmodSync(socket, mode);
    return plugin;
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

/** A gRPC method that answers with what a function returns, or with INTERNAL and what it throws. */
export function answering<Req, Res>(answer: (request: Req) => Res | Promise<Res>): handleUnaryCall<Req, Res> {
  return ({ request }, callback) => {
    Promise.resolve()
      .then(() => answer(request))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback({ code: status.INTERNAL, details: String(error) }),
      );
  };
}
