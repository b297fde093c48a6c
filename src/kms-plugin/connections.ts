import type { KmsConnector, KmsEndpoint } from '../encryption-config/envelope-chain.ts';
import type { KmsV1Deks, KmsV2DekSources } from '../envelope/providers.ts';
import { KmsPluginClient } from './client.ts';
import { PluginDekSources } from './dek-sources.ts';
import { KmsV1PluginClient } from './v1-client.ts';

/**
 * The plugins of a configuration's kms entries, each connected to when a value first needs it: an entry whose socket is away, or
 * of a kind that keyferry doesn't use, is in the way of its own values alone.
 */
export class PluginConnections implements KmsConnector {
  readonly #open: { close(): void }[] = [];

  v1({ endpoint, timeoutMs }: KmsEndpoint): KmsV1Deks {
    const client = this.#once(() => new KmsV1PluginClient(endpoint, timeoutMs));
    return { decrypt: async (encryptedDek) => await client().decrypt(encryptedDek) };
  }

  v2({ name, endpoint, timeoutMs }: KmsEndpoint): KmsV2DekSources {
    const sources = this.#once(
      () => new PluginDekSources(name, new KmsPluginClient(endpoint, { timeoutMs })),
    );
    return {
      decrypt: async (object) => await sources().decrypt(object),
      keyId: async () => await sources().keyId(),
      writer: async () => await sources().writer(),
    };
  }

  close(): void {
    for (const one of this.#open.splice(0)) one.close();
  }

  #once<Client extends { close(): void }>(connect: () => Client): () => Client {
    let client: Client | undefined;
    return () => {
      if (client === undefined) this.#open.push((client = connect()));
      return client;
    };
  }
}
