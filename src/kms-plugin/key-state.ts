import { withinDeadline } from '../keys/deadline.ts';
import { noKeyYet, type DekSealer, type SealedDek } from '../keys/dek-sealer.ts';
import { KeyServiceError, type KeyService, type KeyVersion } from '../keys/key-service.ts';
import { baseKeyId } from '../plan/generation.ts';
import { type Logger } from '../telemetry/logger.ts';
import { kmsV2Protocol } from './service.ts';
import { NewestVersion, type AnnouncedVersions } from './versions.ts';

/** What is known of a key without asking. */
export interface KeyReport {
  /** The adopted key id; empty when none was ever seen. */
  readonly keyId: string;
  /** `degraded`: the key service is away, and the plugin goes on without it until the grace ends. */
  readonly state: 'ok' | 'degraded' | 'failing' | 'unknown';
  /** Why it is degraded or failing, with the remedy; never a secret. */
  readonly reason?: string;
  /** How long Status would go on answering "ok" if the key service went away, or has gone; in milliseconds. */
  readonly graceLeftMs: number;
}

/** What Status answers about a key. */
export interface KeyHealth {
  /** "ok", or why the key service fails; never a secret. */
  readonly healthz: string;
  /** The adopted key id, kept while the service fails; empty when none was ever seen. */
  readonly keyId: string;
}

/** How long a failure stands before the service is asked again. */
const failureMs = 5_000;
/** How long it counts that a version that isn't the newest still unwraps the KEK that seals. */
const provenMs = 60_000;
/** How long the service may take, whoever asks. */
const longestMs = 10_000;

/**
 * The key version that Encrypt uses and Status names: one and the same, changed here and nowhere else.
 *
 * Which version that is, its {@link AnnouncedVersions} say: when Status is asked (the service itself asks remotely once in 60 s
 * at most), or somebody adopts one. It is adopted as a single assignment: an Encrypt under way keeps the version it began with,
 * and answers with that one's key id.
 *
 * While the service is away (kinds `unavailable` and `timeout`), all goes on until the grace ends, counted from its last
 * good answer. A key that was disabled, denied or deleted has no grace: somebody meant it.
 */
export class KeyState {
  readonly #service: KeyService;
  readonly #sealer: DekSealer;
  readonly #log: Logger;
  readonly #graceMs: number;
  readonly #now: () => number;
  readonly #versions: AnnouncedVersions;
  #adopted: KeyVersion | undefined;
  /** Versions are adopted one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #settled = false;
  #provenUntil = 0;
  #lastGoodAt = 0;
  #failure: { readonly error: KeyServiceError; readonly until: number } | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(
    service: KeyService,
    sealer: DekSealer,
    log: Logger,
    {
      graceMs = 0,
      now = () => Date.now(),
      versions = new NewestVersion(),
    }: {
      readonly graceMs?: number;
      readonly now?: () => number;
      readonly versions?: AnnouncedVersions | undefined;
    } = {},
  ) {
    this.#service = service;
    this.#sealer = sealer;
    this.#log = log;
    this.#graceMs = graceMs;
    this.#now = now;
    this.#versions = versions;
  }

  /**
   * Seals under the adopted version. Asks the service only when there is none yet, or when it may not go on without.
   *
   * @throws KeyServiceError why the service fails, when none was ever seen or the grace is over
   */
  async seal(dek: Buffer, signal: AbortSignal): Promise<SealedDek> {
    const late = this.#mayNotSeal() ? await this.#refresh(signal) : undefined;
    if (this.#mayNotSeal()) throw this.#failure?.error ?? late ?? noKeyYet();
    const version = this.#adopted;
    try {
      return await this.#sealer.seal(dek, signal);
    } catch (error) {
      if (version !== undefined && isGone(error)) this.#versions.gone(version.keyId);
      throw error;
    }
  }

  /**
   * The key id that Status names, or would name now.
   *
   * @throws KeyServiceError why there is none
   */
  async announced(signal: AbortSignal): Promise<string> {
    const late = this.#adopted === undefined ? await this.#refresh(signal) : undefined;
    if (this.#adopted === undefined) throw this.#failure?.error ?? late ?? noKeyYet();
    return this.#adopted.keyId;
  }

  /**
   * Adopts the version that is chosen among those that may be, once nothing else is being adopted. When it fails, nothing has
   * changed; a caller whose deadline ends meanwhile isn't told, and the work goes on.
   *
   * @returns the key id that Status names from now on
   * @throws KeyServiceError what `choose` throws, or why the version can't be adopted
   */
  async adopt(choose: (newest: KeyVersion) => KeyVersion, signal: AbortSignal): Promise<string> {
    const asked = this.#now();
    const newest = await this.#service.current(signal);
    const adopting = this.#inTurn(async () => {
      if (this.#settled) throw stopping();
      const version = choose(newest);
      await this.#adopt(version, asked);
      return version.keyId;
    });
    return await withinDeadline(adopting, signal);
  }

  /** Asks the service, unless it failed a moment ago, and adopts what it says. */
  async health(signal: AbortSignal): Promise<KeyHealth> {
    const late = await this.#refresh(signal);
    const { state, reason, keyId, graceLeftMs } = this.report();
    if (state === 'failing') return { healthz: reason ?? state, keyId };
    if (late !== undefined && graceLeftMs === 0) return { healthz: wordsOf(late), keyId };
    return { healthz: kmsV2Protocol.healthy, keyId };
  }

  /** Resolves when the version that is adopted stays so: another process may take over what this one remembers. */
  async settle(): Promise<void> {
    this.#settled = true;
    await this.#turn;
  }

  report(): KeyReport {
    const keyId = this.#adopted?.keyId ?? '';
    const graceLeftMs = this.#graceLeftMs();
    if (this.#failure === undefined) {
      return { keyId, state: keyId === '' ? 'unknown' : 'ok', graceLeftMs };
    }
    return {
      keyId,
      state: graceLeftMs > 0 ? 'degraded' : 'failing',
      reason: wordsOf(this.#failure.error),
      graceLeftMs,
    };
  }

  #mayNotSeal(): boolean {
    return this.#adopted === undefined || (this.#failure !== undefined && this.#graceLeftMs() === 0);
  }

  #graceLeftMs(): number {
    if (this.#adopted === undefined) return 0;
    if (this.#failure === undefined) return this.#graceMs;
    if (!this.#failure.error.retryable) return 0;
    return Math.max(0, this.#lastGoodAt + this.#graceMs - this.#now());
  }

  /**
   * Asks once for all who wait.
   *
   * @returns why this caller waits no longer: that its deadline is over says little about the service, and nothing to others
   */
  async #refresh(signal: AbortSignal): Promise<KeyServiceError | undefined> {
    if (this.#failure !== undefined && this.#now() < this.#failure.until) return undefined;
    this.#refreshing ??= this.#ask()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => (this.#refreshing = undefined));
    try {
      await withinDeadline(this.#refreshing, signal);
      return undefined;
    } catch (error) {
      if (error instanceof KeyServiceError) return error;
      throw error;
    }
  }

  async #ask(): Promise<void> {
    const asked = this.#now();
    const newest = await this.#service.current(AbortSignal.timeout(longestMs));
    await this.#inTurn(async () => {
      if (this.#settled) return;
      const wanted = this.#versions.wanted(newest);
      try {
        if (baseKeyId(wanted.keyId) !== baseKeyId(newest.keyId)) await this.#proveHeld(wanted);
        await this.#adopt(wanted, asked);
      } catch (error) {
        if (!(error instanceof KeyServiceError) || error.retryable) throw error;
        this.#versions.gone(wanted.keyId);
        const instead = this.#versions.wanted(newest);
        if (instead.keyId === wanted.keyId) throw error;
        await this.#adopt(instead, asked);
      }
    });
  }

  /**
   * That the service names a newest version says nothing about an older one: a local KEK would go on sealing what nothing opens
   * after a restart, when that version is gone.
   */
  async #proveHeld({ keyId }: KeyVersion): Promise<void> {
    if (this.#adopted?.keyId !== keyId || this.#now() < this.#provenUntil) return;
    await this.#sealer.prove(AbortSignal.timeout(longestMs));
    this.#provenUntil = this.#now() + provenMs;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #adopt(version: KeyVersion, asked: number): Promise<void> {
    await this.#sealer.adopt(version, () => this.#versions.record(version));
    this.#tell(version, asked);
  }

  #fail(error: unknown): void {
    if (!(error instanceof KeyServiceError)) throw error;
    if (this.#failure?.error.message !== error.message) {
      this.#log.warn(
        { code: error.code, reason: error.message, remedy: error.remedy, graceMs: this.#graceLeftMs() },
        'the key service fails',
      );
    }
    this.#failure = { error, until: this.#now() + failureMs };
  }

  #tell(version: KeyVersion, asked: number): void {
    const previous = this.#adopted?.keyId;
    this.#adopted = version;
    this.#lastGoodAt = asked;
    if (this.#failure !== undefined)
      this.#log.info({ keyId: version.keyId }, 'the key service answers again');
    this.#failure = undefined;
    if (previous === version.keyId) return;
    this.#log.info(
      { keyId: version.keyId, previousKeyId: previous, version: version.description },
      'adopted a key version',
    );
  }
}

function wordsOf({ message, remedy }: KeyServiceError): string {
  return `${message} (${remedy})`.slice(0, 900);
}

function stopping(): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'PluginStops',
    'the plugin stops',
    'ask the one that takes its place',
  );
}

/** The key service no longer encrypts under the version it was asked to. */
function isGone(error: unknown): boolean {
  return error instanceof KeyServiceError && (error.kind === 'wrong-key' || error.kind === 'not-found');
}
