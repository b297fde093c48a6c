import { z } from 'zod';
import { type Logger } from '../telemetry/logger.ts';
import { CurrentVersion } from './current-version.ts';
import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';
import { readAnswer, VaultApi, VaultRefusal, type VaultConnection } from './vault-api.ts';
import {
  associatedDataFingerprint,
  formatVaultKeyId,
  isBefore,
  parseVaultKeyId,
  type VaultKeyId,
} from './vault-key-id.ts';
import { VaultSession, type VaultAuth } from './vault-session.ts';

/** A key of a Vault's transit engine. */
export interface VaultTransitOptions extends VaultConnection {
  /** The stable name of this Vault and namespace in key ids: no two Vaults may have the same, ever. No '/'. */
  readonly service: string;
  /** Mount path, e.g. `transit`. */
  readonly mount: string;
  readonly key: string;
  readonly auth: VaultAuth;
  /** Bound to each ciphertext, which opens with exactly the same only; for keys of the AEAD types. No secrets. */
  readonly associatedData?: string;
}

const keyAnswer = z.object({
  data: z.object({
    type: z.string().optional(),
    latest_version: z.number().int().positive(),
    derived: z.boolean().optional(),
    supports_encryption: z.boolean().optional(),
    // Unix seconds for symmetric keys, an object for others.
    keys: z.record(z.string(), z.unknown()),
  }),
});
const encryptAnswer = z.object({ data: z.object({ ciphertext: z.string() }) });
/** The key types of which Vault takes associated data. */
const aeadTypes = new Set(['aes128-gcm96', 'aes256-gcm96', 'chacha20-poly1305', 'xchacha20-poly1305']);
const decryptAnswer = z.object({ data: z.object({ plaintext: z.string() }) });

type KeyData = z.infer<typeof keyAnswer>['data'];

/**
 * Vault's transit engine as a key service. What it encrypts is Vault's own `vault:v<version>:…`, so that
 * `vault write transit/decrypt/…` opens it too.
 */
export class VaultTransitKeyService implements KeyService {
  readonly #options: VaultTransitOptions;
  readonly #session: VaultSession;
  readonly #current: CurrentVersion;
  /** As the requests of Vault's have it. */
  readonly #associatedData: { readonly associated_data?: string };
  readonly #dataFingerprint: { readonly associatedData?: string };
  #newest: VaultKeyId | undefined;
  /** When the versions were made that Vault told of. */
  readonly #createdAt = new Map<number, unknown>();

  constructor(options: VaultTransitOptions, log: Logger) {
    this.#options = options;
    const { associatedData: data } = options;
    this.#associatedData =
      data === undefined ? {} : { associated_data: Buffer.from(data).toString('base64') };
    this.#dataFingerprint = data === undefined ? {} : { associatedData: associatedDataFingerprint(data) };
    const api = new VaultApi(options);
    this.#session = new VaultSession(api, options.auth, log);
    this.#current = new CurrentVersion(
      () => this.#readCurrent(),
      () => api.givenUp(),
    );
  }

  async current(signal?: AbortSignal): Promise<KeyVersion> {
    return await this.#current.get(signal);
  }

  async encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    const id = this.#own(version.keyId);
    const ciphertext = await this.#encrypt(plaintext, id, signal);
    // Pinning isn't enough: with a token that may "create", Vault makes a missing key anew, and its version 1 has the number
    // of the old one. Read after encrypting, the creation time says whose version this was.
    const data = await this.#readKey(signal);
    if (data.keys[id.version] !== id.createdAt) {
      this.#current.forget();
      throw this.#gone(`version ${id.version} of ${this.#name} was made anew: it is another key now`);
    }
    return Buffer.from(ciphertext);
  }

  async #encrypt(plaintext: Buffer, id: VaultKeyId, signal: AbortSignal | undefined): Promise<string> {
    let ciphertext: string;
    try {
      const answer = await this.#session.request({
        path: `${this.#options.mount}/encrypt/${this.#options.key}`,
        body: {
          plaintext: plaintext.toString('base64'),
          key_version: id.version,
          ...this.#associatedData,
        },
        signal,
      });
      ciphertext = readAnswer(encryptAnswer, answer).data.ciphertext;
    } catch (error) {
      // Encrypting with a key that isn't there needs "create", hence a 403: reading the key says which it is.
      if (error instanceof KeyServiceError && error.kind === 'denied') await this.#readKey(signal);
      if (!(error instanceof VaultRefusal)) throw error;
      this.#current.forget();
      if (error.reason.includes('version')) throw this.#gone(`${this.#name}: ${error.reason}`);
      throw this.#refused('encrypt', error);
    }
    if (ciphertext.startsWith(`vault:v${id.version}:`)) return ciphertext;
    throw this.#gone(`Vault encrypted with another version than version ${id.version} of ${this.#name}`);
  }

  async decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer> {
    const id = this.#own(keyId);
    const text = ciphertext.toString('latin1');
    const [, version, encoded] = /^vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
    // Vault would also take base64 in which unused bits are set: another ciphertext that opens.
    if (encoded === undefined || Buffer.from(encoded, 'base64').toString('base64') !== encoded) {
      throw new KeyServiceError(
        'invalid',
        'CiphertextInvalid',
        "this is no ciphertext of Vault's transit engine",
        notOurs,
      );
    }
    if (Number(version) !== id.version) {
      throw wrongKey(`the ciphertext is of version ${version}, the key id names version ${id.version}`);
    }
    try {
      const answer = await this.#session.request({
        path: `${this.#options.mount}/decrypt/${this.#options.key}`,
        body: { ciphertext: text, ...this.#associatedData },
        signal,
      });
      const { plaintext } = readAnswer(decryptAnswer, answer).data;
      await this.#requireMadeAt(id, signal);
      return Buffer.from(plaintext, 'base64');
    } catch (error) {
      if (!(error instanceof VaultRefusal)) throw error;
      throw await this.#explainDecrypt(error, id, signal);
    }
  }

  /** What opened it must be the version that the id means, and not one of the same number with another creation time. */
  async #requireMadeAt(id: VaultKeyId, signal: AbortSignal | undefined): Promise<void> {
    if (this.#createdAt.get(id.version) === id.createdAt) return;
    const data = await this.#readKey(signal);
    if (data.keys[id.version] === id.createdAt) return;
    throw wrongKey(`version ${id.version} of ${this.#name} was not made when the key id says`);
  }

  async close(): Promise<void> {
    this.#current.forget();
    await this.#session.close();
  }

  get #name(): string {
    return `${this.#options.service}/${this.#options.mount}/${this.#options.key}`;
  }

  async #readCurrent(): Promise<KeyVersion> {
    const data = await this.#readKey(undefined);
    const { service, mount, key } = this.#options;
    const createdAt = data.keys[data.latest_version];
    if (typeof createdAt !== 'number' || data.derived === true || data.supports_encryption === false) {
      throw new KeyServiceError(
        'denied',
        'VaultKeyUnfit',
        `the key ${this.#name} is not a plain symmetric key`,
        'use a key of type aes256-gcm96 that is not derived',
      );
    }
    if (this.#options.associatedData !== undefined && !aeadTypes.has(data.type ?? '')) {
      throw new KeyServiceError(
        'denied',
        'VaultKeyUnfit',
        `the key ${this.#name} is of type ${data.type ?? 'unknown'}, which takes no associated data`,
        'use a key of type aes256-gcm96, or leave associatedData out',
      );
    }
    const id: VaultKeyId = {
      service,
      mount,
      key,
      version: data.latest_version,
      createdAt,
      ...this.#dataFingerprint,
    };
    const newest = this.#newest;
    if (newest !== undefined && isBefore(id, newest)) {
      throw new KeyServiceError(
        'denied',
        'VaultKeyWentBack',
        `the key ${this.#name} went back from version ${newest.version} to ${id.version}; was Vault restored from a backup?`,
        'rotate the key once, so that a key id that was left never comes back',
      );
    }
    this.#newest = id;
    return {
      keyId: formatVaultKeyId(id),
      description: `version ${id.version} of ${this.#name}, made ${new Date(createdAt * 1000).toISOString()}`,
    };
  }

  async #readKey(signal: AbortSignal | undefined): Promise<KeyData> {
    try {
      const answer = await this.#session.request({
        path: `${this.#options.mount}/keys/${this.#options.key}`,
        signal,
      });
      const { data } = readAnswer(keyAnswer, answer);
      for (const [version, createdAt] of Object.entries(data.keys))
        this.#createdAt.set(Number(version), createdAt);
      return data;
    } catch (error) {
      if (!(error instanceof VaultRefusal)) throw error;
      this.#current.forget();
      throw error.statusCode === 404 ? this.#notFound() : this.#refused('keys', error);
    }
  }

  async #explainDecrypt(
    error: VaultRefusal,
    id: VaultKeyId,
    signal: AbortSignal | undefined,
  ): Promise<KeyServiceError> {
    if (error.statusCode === 404 || error.reason.includes('encryption key not found'))
      return this.#notFound();
    if (error.reason.includes('too old')) {
      return new KeyServiceError(
        'denied',
        'VaultVersionRetired',
        `Vault no longer decrypts with version ${id.version} of ${this.#name}`,
        `set the key's min_decryption_version to ${id.version} or lower`,
      );
    }
    if (error.statusCode !== 400) return this.#refused('decrypt', error);
    const data = await this.#readKey(signal);
    if (data.keys[id.version] !== id.createdAt) {
      return this.#gone(
        `version ${id.version} of ${this.#name} is not the one that encrypted this: the key was made anew`,
      );
    }
    return new KeyServiceError(
      'invalid',
      'CiphertextInvalid',
      `Vault can't open this ciphertext: ${error.reason}`,
      notOurs,
    );
  }

  /** The id, if it is of this key. */
  #own(keyId: string): VaultKeyId {
    const id = parseVaultKeyId(keyId);
    const { service, mount, key } = this.#options;
    if (id?.service === service && id.mount === mount && id.key === key) {
      if (id.associatedData === this.#dataFingerprint.associatedData) return id;
      throw new KeyServiceError(
        'wrong-key',
        'VaultAssociatedDataDiffers',
        `the key id is of other associated data than that configured for ${this.#name}`,
        'configure the associated data that this was sealed with: Vault opens it with no other',
      );
    }
    throw wrongKey(`the key id ${JSON.stringify(keyId.slice(0, 200))} is not of ${this.#name}`);
  }

  #gone(message: string): KeyServiceError {
    return new KeyServiceError(
      'wrong-key',
      'VaultKeyVersionGone',
      message,
      'encrypt again with the current version; what an old key sealed needs that key back from a backup of Vault',
    );
  }

  #notFound(): KeyServiceError {
    return new KeyServiceError(
      'not-found',
      'VaultKeyNotFound',
      `there is no key ${this.#options.key} at the mount ${this.#options.mount} of ${this.#options.service}`,
      'check mount and key; a deleted key comes back only from a backup of Vault: a new one of that name opens nothing',
    );
  }

  #refused(operation: string, error: VaultRefusal): KeyServiceError {
    return new KeyServiceError(
      'denied',
      'VaultRefused',
      `Vault answered ${error.statusCode} to ${operation} with ${this.#name}: ${error.reason}`,
      "check mount, key and Vault's audit log",
    );
  }
}

const notOurs = 'the value was damaged, or another key service encrypted it';

function wrongKey(message: string): KeyServiceError {
  return new KeyServiceError(
    'wrong-key',
    'WrongKeyId',
    message,
    'check that the EncryptionConfiguration names the plugin of the key service that sealed this',
  );
}
