import { create } from '@bufbuild/protobuf';
import { PluginConnection } from './connection.ts';
import { DecryptRequestSchema, EncryptRequestSchema, StatusRequestSchema } from './gen/kms-v2_pb.ts';
import { keyManagementService } from './service.ts';

/** A plugin's Status: `version` is "v2", `healthz` is "ok" or says why not. Passed on as answered, unchecked. */
export interface PluginStatus {
  readonly version: string;
  readonly healthz: string;
  readonly keyId: string;
}

/** A plugin's answer to Encrypt; all three go into the value at rest, and back to Decrypt. */
export interface PluginCiphertext {
  readonly ciphertext: Buffer;
  readonly keyId: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}

/**
 * Talks to a KMS v2 plugin as an API server does. Any plugin, keyferry's or another's.
 *
 * Connects at the first call. Every call ends within its deadline, and fails as a {@link KeyferryError}:
 * `UnavailablePlugin…` (no socket, no permission, nobody listening, or the plugin says UNAVAILABLE), `TimeoutPlugin`,
 * `PluginRefused` (the plugin answered no; the same call will be refused again), `PluginFailed`.
 */
export class KmsPluginClient {
  readonly #connection: PluginConnection;

  /**
   * @param endpoint - `unix:///absolute/path`
   * @param options.timeoutMs - deadline of each call in milliseconds; 3,000 (Kubernetes' default) when absent
   */
  constructor(endpoint: string, options: { readonly timeoutMs?: number } = {}) {
    this.#connection = new PluginConnection(endpoint, options.timeoutMs ?? 3_000);
  }

  /** Asks for version, health and the key id that Encrypt uses now. */
  async status(): Promise<PluginStatus> {
    const answer = await this.#connection.call(
      'Status',
      keyManagementService.status,
      create(StatusRequestSchema),
    );
    return { version: answer.version, healthz: answer.healthz, keyId: answer.keyId };
  }

  /**
   * Has the plugin encrypt a DEK seed.
   *
   * @param uid - names the call in the plugin's log
   */
  async encrypt(plaintext: Buffer, uid: string): Promise<PluginCiphertext> {
    const answer = await this.#connection.call(
      'Encrypt',
      keyManagementService.encrypt,
      create(EncryptRequestSchema, { plaintext, uid }),
    );
    return {
      ciphertext: Buffer.from(answer.ciphertext),
      keyId: answer.keyId,
      annotations: Object.fromEntries(
        Object.entries(answer.annotations).map(([name, bytes]) => [name, Buffer.from(bytes)]),
      ),
    };
  }

  /** Has the plugin decrypt what its Encrypt answered, with the key id and annotations of that answer. */
  async decrypt(sealed: PluginCiphertext, uid: string): Promise<Buffer> {
    const request = create(DecryptRequestSchema, {
      ciphertext: sealed.ciphertext,
      uid,
      keyId: sealed.keyId,
      annotations: { ...sealed.annotations },
    });
    return Buffer.from(
      (await this.#connection.call('Decrypt', keyManagementService.decrypt, request)).plaintext,
    );
  }

  /** Closes the connection; calls under way fail. */
  close(): void {
    this.#connection.close();
  }
}
