import { create } from '@bufbuild/protobuf';
import { type MethodDefinition } from '@grpc/grpc-js';
import { KeyferryError } from '../errors.ts';
import { type PluginCiphertext } from './client.ts';
import { PluginConnection } from './connection.ts';
import { AnnounceRequestSchema, SealRequestSchema, VersionsRequestSchema } from './gen/rotation-v1_pb.ts';
import { rotationService } from './service.ts';

/** The versions of a plugin's key. */
export interface PluginVersions {
  /** What Status names. */
  readonly announcedKeyId: string;
  /** At most 60 s old. The same as announced: there is nothing to rotate to. */
  readonly newestKeyId: string;
  /** For people. */
  readonly newestDescription: string;
  /** The lowest key id by which this plugin announces the version asked for; `undefined` when it knows no such version. */
  readonly announceableKeyId: string | undefined;
}

/** Asks the plugin at an endpoint over a connection of its own. @throws KeyferryError of {@link RotationClient} */
export async function withRotation<T>(
  endpoint: string,
  ask: (client: RotationClient) => Promise<T>,
): Promise<T> {
  const client = new RotationClient(endpoint);
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

/**
 * Leads the rotation of a key whose plugin is keyferry's and was told to wait for it.
 *
 * Every call ends within its deadline and fails as `KmsPluginClient`'s do; with `PluginNotLed` where the plugin takes up new
 * versions by itself, or is another vendor's.
 */
export class RotationClient {
  readonly #connection: PluginConnection;
  readonly #endpoint: string;

  /**
   * @param endpoint - `unix:///absolute/path`
   * @param options.timeoutMs - deadline of each call in milliseconds; 10,000 when absent, for announcing wraps a new local KEK
   * @throws KeyferryError `PluginEndpointInvalid`
   */
  constructor(endpoint: string, options: { readonly timeoutMs?: number } = {}) {
    this.#connection = new PluginConnection(endpoint, options.timeoutMs ?? 10_000);
    this.#endpoint = endpoint;
  }

  /** @param keyId - of the version that `announceableKeyId` is asked for, in any generation; the newest when absent */
  async versions(keyId = ''): Promise<PluginVersions> {
    const request = create(VersionsRequestSchema, { keyId });
    const answer = await this.#call('Versions', rotationService.versions, request);
    return {
      announcedKeyId: answer.announcedKeyId,
      newestKeyId: answer.newestKeyId,
      newestDescription: answer.newestDescription,
      announceableKeyId: answer.announceableKeyId === '' ? undefined : answer.announceableKeyId,
    };
  }

  /**
   * Has the plugin seal under exactly this version, without announcing it.
   *
   * @param keyId - one that `announce` would take
   * @param uid - names the call in the plugin's log
   */
  async seal(keyId: string, plaintext: Buffer, uid: string): Promise<PluginCiphertext> {
    const request = create(SealRequestSchema, { keyId, plaintext, uid });
    const answer = await this.#call('Seal', rotationService.seal, request);
    return {
      ciphertext: Buffer.from(answer.ciphertext),
      keyId: answer.keyId,
      annotations: Object.fromEntries(
        Object.entries(answer.annotations).map(([name, bytes]) => [name, Buffer.from(bytes)]),
      ),
    };
  }

  /**
   * Has the plugin announce this version from now on. Can be repeated. A deadline that ended says nothing: the plugin may have
   * done it, or be about to.
   *
   * @returns the key id that Status names now
   * @throws KeyferryError `PluginRefused` for a key id that was left before, and for one of a version it doesn't know
   */
  async announce(keyId: string): Promise<string> {
    const request = create(AnnounceRequestSchema, { keyId });
    return (await this.#call('Announce', rotationService.announce, request)).announcedKeyId;
  }

  /** Closes the connection; calls under way fail. */
  close(): void {
    this.#connection.close();
  }

  async #call<Req, Res>(name: string, method: MethodDefinition<Req, Res>, request: Req): Promise<Res> {
    try {
      return await this.#connection.call(name, method, request);
    } catch (error) {
      if (!(error instanceof KeyferryError) || error.code !== 'PluginNotV2') throw error;
      throw new KeyferryError(
        'PluginNotLed',
        `the plugin at ${this.#endpoint} does not wait for a migration to announce a new version of its key`,
        {
          remedy:
            "set rotation.ledger for the key in its PluginConfiguration, on every node, and restart it; another vendor's plugin announces new versions by itself",
        },
      );
    }
  }
}
