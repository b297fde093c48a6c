import { timingSafeEqual } from 'node:crypto';
import { kmsV2LimitProblem } from '../envelope/limits.ts';
import { messageOf } from '../errors.ts';
import { type Logger } from '../telemetry/logger.ts';
import { type DekOpener } from './dek-opener.ts';
import { noKeyYet, type DekSealer, type SealedDek } from './dek-sealer.ts';
import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';
import { annotationNames, LocalKek } from './local-kek.ts';

/** When a local KEK is replaced. */
export interface LocalKekOptions {
  /** When it is older than this, in milliseconds. */
  readonly maxAgeMs: number;
  /** When it has sealed this many DEK seeds, while the next ones are sealed; far below 2³². */
  readonly maxUses: number;
}

/** Adds to the annotations of a KEK what opens it without the key service. */
export type KekEscrow = (kek: Buffer) => Promise<Readonly<Record<string, Buffer>>>;

/** What stands under the keys just now, for metrics. */
export interface HierarchyReport {
  /** The KEK that seals; absent before the first. */
  readonly sealing?: { readonly ageMs: number; readonly uses: number };
  /** How many KEKs were made. */
  readonly made: number;
}

/** How long wrapping a KEK, and unwrapping it again, may take. */
const longestMs = 10_000;
/** How long a background renewal that failed isn't tried again. */
const renewalPauseMs = 5_000;

interface Sealing {
  readonly version: KeyVersion;
  readonly kek: LocalKek;
  readonly annotations: KekAnnotations;
  readonly madeAt: number;
  uses: number;
}

/**
 * The key hierarchy of KMS v2: DEK seeds are sealed under a local KEK, which the key service wraps, and whose wrapped form
 * travels in the annotations. Remote calls count KEKs: two when one is made (it is unwrapped again before anything is sealed
 * under it), one when it is met on another node or after a restart.
 *
 * The key id stays that of the remote key's version: to the API server, another key id means that all is stale.
 */
export class KeyHierarchy implements DekSealer {
  readonly #service: KeyService;
  readonly #options: LocalKekOptions;
  readonly #log: Logger;
  readonly #escrow: KekEscrow | undefined;
  readonly #now: () => number;
  readonly #opener: DekOpener;
  #sealing: Sealing | undefined;
  /** KEKs are made one after another: the one made last is that of the version adopted last. */
  #turn: Promise<unknown> = Promise.resolve();
  #renewing = false;
  #noRenewalBefore = 0;
  #made = 0;
  #closed = false;

  /** @param opener - is told each KEK that is made, so that it needn't ask */
  constructor(
    service: KeyService,
    opener: DekOpener,
    options: LocalKekOptions,
    log: Logger,
    {
      escrow,
      now = () => Date.now(),
    }: { readonly escrow?: KekEscrow | undefined; readonly now?: () => number } = {},
  ) {
    this.#service = service;
    this.#options = options;
    this.#log = log;
    this.#escrow = escrow;
    this.#now = now;
    this.#opener = opener;
  }

  adopt(version: KeyVersion, record: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      const sealing = this.#sealing;
      if (sealing?.version.keyId !== version.keyId) await this.#make(version, record);
      else if (this.#isDue(sealing)) await this.#make(version);
    });
  }

  /** Needs no remote call. A KEK that is due goes on sealing until its successor is there. */
  seal(dek: Buffer): Promise<SealedDek> {
    const sealing = this.#sealing;
    if (sealing === undefined) return Promise.reject(noKeyYet());
    if (this.#isDue(sealing)) this.#renew();
    sealing.uses += 1;
    const context = { keyId: sealing.version.keyId, annotations: sealing.annotations };
    return Promise.resolve({ ciphertext: sealing.kek.seal(dek, context), ...context });
  }

  /**
   * Has the key service unwrap the KEK that seals: what was sealed opens after a restart, too. One remote call.
   *
   * @throws KeyServiceError why not
   */
  async prove(signal: AbortSignal): Promise<void> {
    const sealing = this.#sealing;
    if (sealing === undefined) throw noKeyYet();
    const kek = await this.#service.decrypt(
      sealing.annotations[annotationNames.kek],
      sealing.version.keyId,
      signal,
    );
    kek.fill(0);
  }

  close(): void {
    this.#closed = true;
    this.#sealing?.kek.wipe();
    this.#sealing = undefined;
  }

  report(): HierarchyReport {
    const sealing = this.#sealing;
    return {
      ...(sealing && { sealing: { ageMs: this.#now() - sealing.madeAt, uses: sealing.uses } }),
      made: this.#made,
    };
  }

  #isDue({ madeAt, uses }: Sealing): boolean {
    return this.#now() - madeAt >= this.#options.maxAgeMs || uses >= this.#options.maxUses;
  }

  /** Beside the seals that go on. Fails in silence but for the log: `adopt` tries again, and tells. */
  #renew(): void {
    if (this.#renewing || this.#now() < this.#noRenewalBefore) return;
    this.#renewing = true;
    this.#inTurn(async () => {
      const sealing = this.#sealing;
      if (sealing !== undefined && this.#isDue(sealing)) await this.#make(sealing.version);
    })
      .catch((error: unknown) => {
        this.#noRenewalBefore = this.#now() + renewalPauseMs;
        const reason = error instanceof KeyServiceError ? messageOf(error) : 'a defect in keyferry';
        this.#log.warn({ reason }, 'a new local KEK could not be made; the old one goes on');
      })
      .finally(() => (this.#renewing = false));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #make(version: KeyVersion, record?: () => Promise<void>): Promise<void> {
    const signal = AbortSignal.timeout(longestMs);
    const kek = LocalKek.random();
    try {
      const annotations = await this.#wrap(kek, version, signal);
      await record?.();
      if (this.#closed) throw noKeyYet();
      this.#opener.know(version.keyId, annotations[annotationNames.kek], new LocalKek(kek.copy()));
      this.#sealing?.kek.wipe();
      this.#sealing = { version, kek, annotations, madeAt: this.#now(), uses: 0 };
      this.#made += 1;
      this.#log.info({ keyId: version.keyId }, 'made a local KEK');
    } catch (error) {
      kek.wipe();
      throw error;
    }
  }

  /** Wraps, and unwraps again: what this key seals must be readable before anything is sealed under it. */
  async #wrap(kek: LocalKek, version: KeyVersion, signal: AbortSignal): Promise<KekAnnotations> {
    const bytes = kek.copy();
    try {
      const wrapped = await this.#service.encrypt(bytes, version, signal);
      const unwrapped = await this.#service.decrypt(wrapped, version.keyId, signal);
      const same = unwrapped.length === bytes.length && timingSafeEqual(unwrapped, bytes);
      unwrapped.fill(0);
      if (!same) throw unfit('the key service unwraps another key than it wrapped');
      const annotations = { [annotationNames.kek]: wrapped, ...(await this.#escrow?.(bytes)) };
      const problem = annotationProblem(version.keyId, annotations);
      if (problem !== undefined) throw unfit(problem);
      return annotations;
    } finally {
      bytes.fill(0);
    }
  }
}

type KekAnnotations = Readonly<Record<string, Buffer> & Record<typeof annotationNames.kek, Buffer>>;

function annotationProblem(keyId: string, annotations: KekAnnotations): string | undefined {
  const entries = Object.entries(annotations);
  return kmsV2LimitProblem({
    keyIdBytes: Buffer.byteLength(keyId),
    dekSourceBytes: 1,
    encryptedDataBytes: 1,
    annotationNames: entries.map(([name]) => name),
    annotationBytes: entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0),
  });
}

function unfit(message: string): KeyServiceError {
  return new KeyServiceError('denied', 'KekUnfit', message, 'use another key, or fewer escrow recipients');
}
