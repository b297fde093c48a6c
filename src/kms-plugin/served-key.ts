import { DirectSealer, type DekSealer } from '../keys/dek-sealer.ts';
import { KeyHierarchy, type KekEscrow, type LocalKekOptions } from '../keys/hierarchy.ts';
import { type KeyService } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import { KeyState } from './key-state.ts';

/** How the DEK seeds of a key are protected, beyond what its key service does. */
export interface KeyProtection {
  /** Absent, every DEK seed goes to the key service itself, and an outage has no grace. */
  readonly localKek?: LocalKekOptions | undefined;
  readonly escrow?: KekEscrow | undefined;
  /** Milliseconds since the epoch; the system's clock when absent. */
  readonly now?: () => number;
}

/** A key as it is served: its state, and how it seals. */
export class ServedKey {
  readonly sealer: DekSealer;
  readonly state: KeyState;
  /** What seals, when it is a local KEK. */
  readonly hierarchy: KeyHierarchy | undefined;

  constructor(service: KeyService, log: Logger, { localKek, escrow, now = Date.now }: KeyProtection = {}) {
    this.hierarchy = localKek && new KeyHierarchy(service, localKek, log, { escrow, now });
    this.sealer = this.hierarchy ?? new DirectSealer(service);
    this.state = new KeyState(service, this.sealer, log, { graceMs: localKek?.outageGraceMs ?? 0, now });
  }

  close(): void {
    this.sealer.close();
  }
}
