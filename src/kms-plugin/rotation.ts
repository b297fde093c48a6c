import { type SealedDek } from '../keys/dek-sealer.ts';
import { type KeyService, type KeyVersion } from '../keys/key-service.ts';
import { type KeyState } from './key-state.ts';
import { type LedVersions } from './led-versions.ts';

/** The versions of a key, as whoever leads its rotation asks for them. */
export interface VersionsReport {
  readonly announcedKeyId: string;
  /** At most 60 s old; the announced one when that is the same version. */
  readonly newest: KeyVersion;
  /** The key id by which the version asked for can be announced; `undefined` when it can't. */
  readonly announceableKeyId: string | undefined;
}

/**
 * Leads a key from the version it announces to another: that one seals, for every node to open, before it is announced.
 *
 * Everything fails as a KeyServiceError; kind `invalid` for a version that isn't known, code `KeyIdCameBack` for a key id that was
 * left.
 */
export class Rotation {
  readonly #service: KeyService;
  readonly #state: KeyState;
  readonly #versions: LedVersions;

  /** @param state - of the key, by the same `versions` */
  constructor(service: KeyService, state: KeyState, versions: LedVersions) {
    this.#service = service;
    this.#state = state;
    this.#versions = versions;
  }

  /** The newest version as it was seen last, without asking. */
  get newestKeyId(): string | undefined {
    return this.#versions.newest?.keyId;
  }

  /** @param keyId - of the version to announce; the newest when empty */
  async report(keyId: string, signal: AbortSignal): Promise<VersionsReport> {
    const announcedKeyId = await this.#state.announced(signal);
    const current = await this.#service.current(signal);
    const newest = this.#versions.seen(current);
    return {
      announcedKeyId,
      newest,
      announceableKeyId: this.#versions.announceable(keyId === '' ? newest.keyId : keyId, current),
    };
  }

  /** Seals by the key service itself, without announcing the version: any node's Decrypt opens it. */
  async seal(dek: Buffer, keyId: string, signal: AbortSignal): Promise<SealedDek> {
    const version = this.#versions.permitted(keyId, await this.#service.current(signal));
    return {
      ciphertext: await this.#service.encrypt(dek, version, signal),
      keyId: version.keyId,
      annotations: {},
    };
  }

  /** Resolves once Encrypt uses the version and the ledger has it. @returns the key id */
  async announce(keyId: string, signal: AbortSignal): Promise<string> {
    return await this.#state.adopt((newest) => this.#versions.permitted(keyId, newest), signal);
  }
}
