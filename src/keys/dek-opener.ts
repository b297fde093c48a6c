import { createHash } from 'node:crypto';
import { type SealedDek } from './dek-sealer.ts';
import { KekCache, type KekCacheReport } from './kek-cache.ts';
import { KeyServiceError, type KeyService } from './key-service.ts';
import { annotationNames, LocalKek } from './local-kek.ts';

/** What bounds the memory of unwrapped KEKs. Times are in milliseconds. */
export interface KekMemory {
  /** How many unwrapped KEKs are kept. */
  readonly keys: number;
  /** How long one is used before the key service is asked for it again: so long does a revoked key still open. */
  readonly ttlMs: number;
  /** How much longer, while the key service is away. */
  readonly graceMs: number;
}

/** How long unwrapping a KEK may take; others may be waiting for it, so it isn't the caller's deadline. */
const longestMs = 10_000;

/**
 * Opens DEK seeds, however they were sealed: under a local KEK, here or on another node, or by the key service itself, as
 * before there was a hierarchy.
 */
export class DekOpener {
  readonly #service: KeyService;
  readonly #cache: KekCache;

  constructor(
    service: KeyService,
    { keys, ttlMs, graceMs }: KekMemory,
    now: () => number = () => Date.now(),
  ) {
    this.#service = service;
    this.#cache = new KekCache({ maxKeys: keys, ttlMs, graceMs, now });
  }

  /** @throws KeyServiceError */
  async open(sealed: SealedDek, signal?: AbortSignal): Promise<Buffer> {
    const { ciphertext, keyId, annotations } = sealed;
    const wrapped = annotations[annotationNames.kek];
    if (wrapped === undefined) {
      const others = Object.keys(annotations).filter((name) => name.endsWith('.keyferry.dev'));
      if (others.length > 0) throw noKek(others);
      return await this.#service.decrypt(ciphertext, keyId, signal);
    }
    return await this.#cache.use(
      idOf(keyId, wrapped),
      async () => new LocalKek(await this.#service.decrypt(wrapped, keyId, AbortSignal.timeout(longestMs))),
      (kek) => kek.open(ciphertext, sealed),
      signal,
    );
  }

  /** Spares the call for a KEK that is known. */
  know(keyId: string, wrapped: Buffer, kek: LocalKek): void {
    this.#cache.keep(idOf(keyId, wrapped), kek);
  }

  /** Wipes the KEKs whose time is over. */
  purge(): void {
    this.#cache.purge();
  }

  /** Wipes all. The key service is left open. */
  close(): void {
    this.#cache.close();
  }

  report(): KekCacheReport {
    return this.#cache.report();
  }
}

/** Of a wrapped KEK: the same bytes under another key id are another. Holds no secret. */
function idOf(keyId: string, wrapped: Buffer): string {
  return createHash('sha256').update(`${keyId}\0`).update(wrapped).digest('base64');
}

function noKek(names: readonly string[]): KeyServiceError {
  return new KeyServiceError(
    'invalid',
    'KekMissing',
    `there are annotations (${[...names].sort().join(', ').slice(0, 300)}), but no ${annotationNames.kek}`,
    'give the annotations that were answered with this ciphertext',
  );
}
