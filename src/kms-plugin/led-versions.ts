import { KeyServiceError, type KeyVersion } from '../keys/key-service.ts';
import { baseKeyId, generationOf, keyIdOfGeneration } from '../plan/generation.ts';
import { type Logger } from '../telemetry/logger.ts';
import { type Ledger } from './ledger.ts';
import { cameBack, type AnnouncedVersions } from './versions.ts';

/**
 * Announces the version in its ledger until told otherwise, however many newer ones there are. Without any in the ledger, the
 * newest.
 *
 * A key id that was left never comes back, not after a restart either; its version may, in a higher generation.
 */
export class LedVersions implements AnnouncedVersions {
  readonly #ledger: Ledger;
  readonly #log: Logger;
  #newest: KeyVersion | undefined;
  /** A key id under which the key service didn't encrypt, since `wanted` was asked last. */
  #gone: string | undefined;
  /** What is announced in the place of one that is gone. */
  #instead: string | undefined;

  constructor(ledger: Ledger, log: Logger) {
    this.#ledger = ledger;
    this.#log = log;
  }

  /** The newest version as it was seen last. */
  get newest(): KeyVersion | undefined {
    return this.#newest && this.seen(this.#newest);
  }

  /** Without a version in the ledger, or with one that is gone, the newest: that API servers can write comes first. */
  wanted(newest: KeyVersion): KeyVersion {
    const { announced } = this.#ledger.entry;
    const seen = this.seen(newest);
    this.#note(seen);
    if (announced === undefined) return newest;
    const gone = this.#gone === announced.keyId && seen.keyId !== announced.keyId;
    // For once: a refusal that passed must not lead to a version that comes later.
    this.#gone = undefined;
    if (!gone) return announced;
    this.#instead = this.announceable(newest.keyId, newest) ?? newest.keyId;
    return { ...newest, keyId: this.#instead };
  }

  gone(keyId: string): void {
    this.#gone = keyId;
  }

  async record(version: KeyVersion): Promise<void> {
    const { announced, left } = this.#ledger.entry;
    if (announced?.keyId === version.keyId) return;
    await this.#ledger.write({
      announced: { keyId: version.keyId, description: version.description },
      left: announced === undefined ? left : withLeft(left, announced.keyId),
    });
    if (announced !== undefined && this.#instead === version.keyId) {
      this.#log.warn(
        { keyId: version.keyId, previousKeyId: announced.keyId },
        'the key service no longer encrypts under the version that was held: another one is announced, though nobody led it',
      );
    }
  }

  /**
   * By which key id the version of the one given can be announced: the announced one if that is the same version, otherwise
   * its lowest generation that was never left.
   *
   * @returns `undefined` for a version that isn't the newest, and was never announced
   */
  announceable(keyId: string, newest: KeyVersion): string | undefined {
    const announced = this.#ledger.entry.announced?.keyId;
    if (announced !== undefined && isOf(announced, keyId) && generationOf(keyId) <= generationOf(announced)) {
      return announced;
    }
    return this.#unused(keyId, newest);
  }

  /**
   * The version that a caller names, if it may be announced.
   *
   * @throws KeyServiceError `KeyIdCameBack`; `VersionUnknown`, kind `invalid`
   */
  permitted(keyId: string, newest: KeyVersion): KeyVersion {
    const { announced } = this.#ledger.entry;
    if (keyId === announced?.keyId) return announced;
    const lowest = this.#unused(keyId, newest);
    if (lowest === undefined || keyId !== keyIdOfGeneration(keyId, generationOf(keyId))) throw unknown(keyId);
    if (generationOf(keyId) < generationOf(lowest)) {
      throw cameBack(
        keyId,
        `announce ${lowest} instead, or a higher generation, the same on every node: it opens what the others sealed`,
      );
    }
    const known = [newest, ...(announced === undefined ? [] : [announced])];
    const description = known.find((one) => isOf(one.keyId, keyId))?.description;
    return { keyId, description: description ?? `${baseKeyId(keyId)}, announced before` };
  }

  /** The lowest generation above all that were announced; for the newest version, not below the one it is configured with. */
  #unused(keyId: string, newest: KeyVersion): string | undefined {
    const { announced, left } = this.#ledger.entry;
    const used = [...left, ...(announced === undefined ? [] : [announced.keyId])]
      .filter((one) => isOf(one, keyId))
      .map(generationOf);
    if (isOf(newest.keyId, keyId)) used.push(generationOf(newest.keyId) - 1);
    return used.length === 0 ? undefined : keyIdOfGeneration(keyId, Math.max(...used) + 1);
  }

  /** The announced version where the newest is that one, in whatever generation; otherwise the newest. */
  seen(newest: KeyVersion): KeyVersion {
    const { announced } = this.#ledger.entry;
    if (announced === undefined || !isOf(announced.keyId, newest.keyId)) return newest;
    return generationOf(newest.keyId) <= generationOf(announced.keyId) ? announced : newest;
  }

  #note(newest: KeyVersion): void {
    const announced = this.#ledger.entry.announced?.keyId;
    const waits = announced !== undefined && announced !== newest.keyId;
    if (waits && this.#newest?.keyId !== newest.keyId) {
      this.#log.info(
        { keyId: announced, newestKeyId: newest.keyId, version: newest.description },
        'there is a newer key version; it is announced when a migration says so',
      );
    }
    this.#newest = newest;
  }
}

function isOf(one: string, other: string): boolean {
  return baseKeyId(one) === baseKeyId(other);
}

/** Of each version its highest generation is kept, which stands for the lower ones: as many as there were versions. */
function withLeft(left: readonly string[], keyId: string): string[] {
  return [...left.filter((one) => !isOf(one, keyId)), keyId];
}

function unknown(keyId: string): KeyServiceError {
  return new KeyServiceError(
    'invalid',
    'VersionUnknown',
    `the key id ${JSON.stringify(keyId.slice(0, 300))} is not of the newest version, nor of one that was announced here`,
    'ask for the versions, and name one of them; a node that joined lately needs the ledger of another node',
  );
}
