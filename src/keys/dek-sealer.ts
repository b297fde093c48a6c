import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';

/** A sealed DEK seed as a KMS v2 plugin answers it: all three parts lie in etcd, and come back to be opened. */
export interface SealedDek {
  /** 1,024 bytes at most. */
  readonly ciphertext: Buffer;
  readonly keyId: string;
  /** Fully qualified names; 32 KiB together at most. */
  readonly annotations: Readonly<Record<string, Buffer>>;
}

/**
 * How DEK seeds are sealed with a key service: each by the service itself, or under a local KEK.
 *
 * Everything fails as a KeyServiceError, as the key service does.
 */
export interface DekSealer {
  /**
   * Makes this version the one that `seal` uses, as a single step at the end: whatever fails before changes nothing, and a
   * `seal` under way keeps the version it began with. Given the version that is in use already, renews what is due. It has a
   * deadline of its own.
   *
   * @param record - for another version than the one in use: awaited right before that step, which isn't taken when it fails
   */
  adopt(version: KeyVersion, record: () => Promise<void>): Promise<void>;
  /** Seals a DEK seed under the adopted version. @throws KeyServiceError `unavailable` when none was adopted */
  seal(dek: Buffer, signal?: AbortSignal): Promise<SealedDek>;
  /**
   * Whether what `seal` answers opens after a restart, too. One remote call at most.
   *
   * @throws KeyServiceError why not
   */
  prove(signal: AbortSignal): Promise<void>;
  /** Wipes what it keeps. The key service is left open. */
  close(): void;
}

/** Every DEK seed goes to the key service and back: one remote call each. */
export class DirectSealer implements DekSealer {
  readonly #service: KeyService;
  #version: KeyVersion | undefined;

  constructor(service: KeyService) {
    this.#service = service;
  }

  async adopt(version: KeyVersion, record: () => Promise<void>): Promise<void> {
    if (this.#version?.keyId !== version.keyId) await record();
    this.#version = version;
  }

  async seal(dek: Buffer, signal?: AbortSignal): Promise<SealedDek> {
    const version = this.#version;
    if (version === undefined) throw noKeyYet();
    return {
      ciphertext: await this.#service.encrypt(dek, version, signal),
      keyId: version.keyId,
      annotations: {},
    };
  }

  /** Nothing is kept here that the key service might lose: it seals each DEK seed itself, or refuses. */
  prove(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#version = undefined;
  }
}

/** No version was adopted: the key service hasn't answered since the plugin started. */
export function noKeyYet(): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'KeyUnknown',
    'the key service has not answered since the plugin started',
    'see the healthz of Status for its reason',
  );
}
