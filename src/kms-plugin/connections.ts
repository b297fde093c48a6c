import type { KmsConnector, KmsEndpoint } from '../encryption-config/envelope-chain.ts';
import type { KmsV1Deks, KmsV2DekSources } from '../envelope/providers.ts';
import { KmsPluginClient } from './client.ts';
import { PluginDekSources } from './dek-sources.ts';
import { KmsV1PluginClient } from './v1-client.ts';

/**
 * The plugins of kms entries, each connected to when a value first needs it: an entry whose socket is away, or of a kind that
 * keyferry doesn't use, is in the way of its own values alone. All chains that are made with these connections share an entry's
 * DEK sources, and the seed that is written with.
 */
export class PluginConnections implements KmsConnector {
  readonly #v1 = new Map<string, KmsV1PluginClient>();
  readonly #v2 = new Map<string, PluginDekSources>();

  v1(entry: KmsEndpoint): KmsV1Deks {
    const { endpoint, timeoutMs } = entry;
    const client = () => shared(this.#v1, entry, () => new KmsV1PluginClient(endpoint, timeoutMs));
    return { decrypt: async (encryptedDek) => await client().decrypt(encryptedDek) };
  }

  v2(entry: KmsEndpoint): KmsV2DekSources {
    const { name, endpoint, timeoutMs } = entry;
    const sources = () =>
      shared(this.#v2, entry, () => new PluginDekSources(name, new KmsPluginClient(endpoint, { timeoutMs })));
    return {
      decrypt: async (object) => await sources().decrypt(object),
      keyId: async () => await sources().keyId(),
      writer: async () => await sources().writer(),
    };
  }

  /** Calls under way fail, and every seed is forgotten; what is needed afterwards is connected to anew. */
  close(): void {
    for (const open of [this.#v1, this.#v2]) {
      for (const one of open.values()) one.close();
      open.clear();
    }
  }
}

function shared<Client>(
  open: Map<string, Client>,
  { name, endpoint, timeoutMs }: KmsEndpoint,
  connect: () => Client,
): Client {
  const id = JSON.stringify([name, endpoint, timeoutMs]);
  const known = open.get(id);
  if (known !== undefined) return known;
  const client = connect();
  open.set(id, client);
  return client;
}
