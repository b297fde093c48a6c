import { hash, randomBytes, randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { KmsV2Object, KmsV2Seal } from '../envelope/kms-v2.ts';
import type { KmsV2DekSources } from '../envelope/providers.ts';
import { KeyferryError } from '../errors.ts';
import type { KmsPluginClient, PluginStatus } from './client.ts';
import { kmsV2Protocol } from './service.ts';

/** As often as kube-apiserver asks a plugin that is well. */
const STATUS_FOR_MS = 60_000;
/** An API server makes one seed whenever it starts and whenever the key id changes: a cluster has few. */
const MAX_SEEDS = 1_000;
/** How long one seed is written with: each value has a key of its own that is expanded from it. */
const WRITER_FOR_MS = 6 * 60 * 60_000;
/** kube-apiserver takes the older one too. */
const versions: readonly string[] = [kmsV2Protocol.version, 'v2beta1'];

type WriteSeed = Pick<KmsV2Seal, 'seed' | 'keyId' | 'encryptedDekSource' | 'annotations'>;

/**
 * The DEK sources of a kms v2 entry, by its plugin: each is decrypted once, and one seed is made per key id, as an API server
 * does. So calls of the plugin count key ids, not objects.
 */
export class PluginDekSources implements KmsV2DekSources {
  readonly #name: string;
  readonly #client: KmsPluginClient;
  readonly #opened: LRUCache<string, Buffer, KmsV2Object>;
  #status: { readonly answer: PluginStatus; readonly at: number } | undefined;
  #writer: (WriteSeed & { readonly madeAt: number }) | undefined;
  #making: Promise<WriteSeed> | undefined;

  /**
   * @param name - of the kms entry, for messages
   * @param client - of its plugin; closed with this
   */
  constructor(name: string, client: KmsPluginClient) {
    this.#name = name;
    this.#client = client;
    this.#opened = new LRUCache({
      max: MAX_SEEDS,
      fetchMethod: async (_key, _stale, { context: { encryptedDekSource, keyId, annotations } }) =>
        await client.decrypt({ ciphertext: encryptedDekSource, keyId, annotations }, randomUUID()),
    });
  }

  /** @throws KeyferryError as `KmsPluginClient` does */
  async decrypt(object: KmsV2Object): Promise<Buffer> {
    return await this.#opened.forceFetch(identityOf(object), { context: object });
  }

  /**
   * @throws KeyferryError as `KmsPluginClient` does; `PluginKeyIdMissing`, or `UnavailablePluginUnhealthy` where the plugin says why
   * it names none
   */
  async keyId(): Promise<string> {
    const status = await this.#askStatus();
    if (status.keyId !== '') return status.keyId;
    if (!isWell(status)) throw this.#unhealthy(status);
    throw new KeyferryError('PluginKeyIdMissing', `the plugin of kms ${this.#quoted()} names no key id`, {
      remedy: 'an API server refuses it as well: mend the plugin',
    });
  }

  /**
   * @throws KeyferryError as {@link keyId} does; `UnavailablePluginUnhealthy` whenever the plugin says that it isn't well, for an
   * API server writes nothing then; `PluginKeyIdChanging` when Status and Encrypt name different key ids
   */
  async writer(): Promise<WriteSeed> {
    const status = await this.#askStatus();
    if (!isWell(status)) throw this.#unhealthy(status);
    const keyId = await this.keyId();
    const writer = this.#writer;
    if (writer?.keyId === keyId && performance.now() - writer.madeAt < WRITER_FOR_MS) return writer;
    // Whoever seals meanwhile waits for the same one.
    this.#making ??= this.#makeWriter(keyId).finally(() => (this.#making = undefined));
    const made = await this.#making;
    // What was under way when the key id changed was for the one before.
    return made.keyId === keyId ? made : await this.writer();
  }

  /** Closes the connection and forgets every seed. */
  close(): void {
    this.#client.close();
    for (const seed of this.#opened.values()) if (seed instanceof Buffer) seed.fill(0);
    this.#opened.clear();
    this.#writer?.seed.fill(0);
    this.#writer = undefined;
  }

  async #makeWriter(keyId: string): Promise<WriteSeed> {
    const seed = randomBytes(32);
    const sealed = await this.#client.encrypt(seed, randomUUID());
    if (sealed.keyId !== keyId) {
      this.#status = undefined;
      throw new KeyferryError(
        'PluginKeyIdChanging',
        `the plugin of kms ${this.#quoted()} names the key id ${JSON.stringify(keyId)} and encrypts under ${JSON.stringify(sealed.keyId)}`,
        { remedy: 'wait until its key has been rotated, and try again', retryable: true },
      );
    }
    this.#writer = {
      seed,
      keyId,
      encryptedDekSource: sealed.ciphertext,
      annotations: sealed.annotations,
      madeAt: performance.now(),
    };
    return this.#writer;
  }

  /** An answer that isn't good is not kept: the next may be. */
  async #askStatus(): Promise<PluginStatus> {
    if (this.#status !== undefined && performance.now() - this.#status.at < STATUS_FOR_MS) {
      return this.#status.answer;
    }
    const at = performance.now();
    const answer = await this.#client.status();
    this.#status = isWell(answer) ? { answer, at } : undefined;
    return answer;
  }

  #unhealthy({ version, healthz }: PluginStatus): KeyferryError {
    return new KeyferryError(
      'UnavailablePluginUnhealthy',
      `the plugin of kms ${this.#quoted()} answers version ${words(version)} and health ${words(healthz)}`,
      { remedy: "look into the plugin's log: an API server can't use it either", retryable: true },
    );
  }

  #quoted(): string {
    return JSON.stringify(this.#name);
  }
}

function isWell({ version, healthz }: PluginStatus): boolean {
  return healthz === kmsV2Protocol.healthy && versions.includes(version);
}

/** A plugin's own words, on one line and bounded. */
function words(text: string): string {
  return JSON.stringify(text.slice(0, 300));
}

/** The same for values whose DEK sources are the same, as an API server tells them apart. */
function identityOf({ dekSourceType, encryptedDekSource, keyId, annotations }: KmsV2Object): string {
  const sorted = Object.entries(annotations)
    .map(([name, bytes]) => [name, bytes.toString('base64')])
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  return hash(
    'sha256',
    JSON.stringify([dekSourceType, encryptedDekSource.toString('base64'), keyId, sorted]),
  );
}
