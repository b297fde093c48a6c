import { randomBytes } from 'node:crypto';
import { DekOpener, type KekMemory } from '../keys/dek-opener.ts';
import { DirectSealer, type DekSealer } from '../keys/dek-sealer.ts';
import { KeyHierarchy, type KekEscrow, type LocalKekOptions } from '../keys/hierarchy.ts';
import { KeyServiceError, type KeyService } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import { KeyState, type KeyHealth } from './key-state.ts';
import { type Ledger } from './ledger.ts';
import { LedVersions } from './led-versions.ts';
import { Rotation } from './rotation.ts';

/** How the DEK seeds of a key are protected, beyond what its key service does. */
export interface KeyProtection {
  /** Absent, every DEK seed goes to the key service itself; what was sealed under local KEKs opens all the same. */
  readonly localKek?: LocalKekOptions | undefined;
  /** Of unwrapped KEKs. Its grace is that of sealing, too, under a local KEK: without one, sealing has none. */
  readonly memory?: KekMemory;
  readonly escrow?: KekEscrow | undefined;
  /** Present, a newer version is announced only when somebody says so. */
  readonly ledger?: Ledger | undefined;
  /** Milliseconds since the epoch; the system's clock when absent. */
  readonly now?: () => number;
}

const hour = 3_600_000;
const usualMemory: KekMemory = { keys: 1_000, ttlMs: 24 * hour, graceMs: hour };

/** How long it counts that the key service unwrapped the KEK that seals. */
const provenMs = 60_000;

/** A key as it is served: its state, and how it seals. */
export class ServedKey {
  readonly opener: DekOpener;
  readonly state: KeyState;
  /** What seals, when it is a local KEK. */
  readonly hierarchy: KeyHierarchy | undefined;
  /** What leads from one version to another, when that doesn't happen by itself. */
  readonly rotation: Rotation | undefined;

  readonly #sealer: DekSealer;
  readonly #now: () => number;
  #provenUntil = 0;

  constructor(
    service: KeyService,
    log: Logger,
    { localKek, memory = usualMemory, escrow, ledger, now = () => Date.now() }: KeyProtection = {},
  ) {
    this.#now = now;
    this.opener = new DekOpener(service, memory, now);
    this.hierarchy = localKek && new KeyHierarchy(service, this.opener, localKek, log, { escrow, now });
    this.#sealer = this.hierarchy ?? new DirectSealer(service);
    const graceMs = localKek === undefined ? 0 : memory.graceMs;
    const versions = ledger && new LedVersions(ledger, log);
    this.state = new KeyState(service, this.#sealer, log, { graceMs, now, versions });
    this.rotation = versions && new Rotation(service, this.state, versions);
  }

  /** What Status answers; KEKs whose time is over are wiped on the way. */
  health(signal: AbortSignal): Promise<KeyHealth> {
    this.opener.purge();
    return this.state.health(signal);
  }

  /**
   * Seals 32 random bytes and opens them; under a local KEK, the key service has to unwrap that too, unless it did within the
   * minute, or is away and the plugin goes on without it.
   *
   * @returns why it can't; `undefined` when it can
   */
  async roundTrip(signal: AbortSignal): Promise<string | undefined> {
    await this.health(signal);
    const dek = randomBytes(32);
    try {
      const opened = await this.opener.open(await this.state.seal(dek, signal), signal);
      if (!opened.equals(dek)) return 'it opened other bytes than it sealed';
      if (this.state.report().state === 'ok') await this.#prove(signal);
      return undefined;
    } catch (error) {
      if (error instanceof KeyServiceError) return `${error.message} (${error.remedy})`;
      throw error;
    }
  }

  async #prove(signal: AbortSignal): Promise<void> {
    if (this.hierarchy === undefined || this.#now() < this.#provenUntil) return;
    await this.hierarchy.prove(signal);
    this.#provenUntil = this.#now() + provenMs;
  }

  close(): void {
    this.#sealer.close();
    this.opener.close();
  }
}
