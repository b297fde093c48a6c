import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { KeyServiceError } from './key-service.ts';

/** Names of the annotations under which parts of a {@link SealedDek} travel. */
export const annotationNames = {
  /** The local KEK as the key service wrapped it, unchanged: the service's own tools open it. */
  kek: 'kek.keyferry.dev',
  /** The local KEK sealed to the offline recipients: an age file. */
  escrow: 'escrow.keyferry.dev',
  /** Those recipients, one a line: who can open, besides the key service. */
  escrowRecipients: 'recipients.escrow.keyferry.dev',
} as const;

/** What a sealed DEK seed is bound to: it opens under no other key id, and with no annotation changed, added or gone. */
export interface DekContext {
  readonly keyId: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}

const kekBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
/** First byte of what a KEK seals: nonce 12, ciphertext and tag 16 of AES-256-GCM follow. */
const format = 1;

/**
 * A local key encryption key: AES-256, in this process's memory only. Wiped, it neither seals nor opens.
 *
 * Nonces are random: 2³² seals are the most that one KEK may do (NIST SP 800-38D, 8.3).
 */
export class LocalKek {
  readonly #bytes: Buffer;
  #wiped = false;

  /** @param bytes - 32 of them; they are this object's from now on, and will be overwritten. */
  constructor(bytes: Buffer) {
    if (bytes.length !== kekBytes) {
      throw new KeyServiceError(
        'invalid',
        'KekInvalid',
        `the annotation ${annotationNames.kek} holds ${bytes.length} bytes, not a KEK of ${kekBytes}`,
        'give the annotations that were answered with this ciphertext',
      );
    }
    this.#bytes = bytes;
  }

  static random(): LocalKek {
    return new LocalKek(randomBytes(kekBytes));
  }

  /** The key itself, for wrapping. The caller wipes it. */
  copy(): Buffer {
    return Buffer.from(this.#usable());
  }

  seal(dek: Buffer, context: DekContext): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#usable(), nonce, { authTagLength: tagBytes });
    cipher.setAAD(bound(context));
    const body = cipher.update(dek);
    cipher.final();
    return Buffer.concat([Buffer.of(format), nonce, body, cipher.getAuthTag()]);
  }

  /** @throws KeyServiceError kind `invalid` for anything but what `seal` answered in the same context */
  open(ciphertext: Buffer, context: DekContext): Buffer {
    const key = this.#usable();
    if (ciphertext.length < 1 + nonceBytes + tagBytes || ciphertext[0] !== format) throw notAuthentic();
    const decipher = createDecipheriv('aes-256-gcm', key, ciphertext.subarray(1, 1 + nonceBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(bound(context));
    decipher.setAuthTag(ciphertext.subarray(-tagBytes));
    const dek = decipher.update(ciphertext.subarray(1 + nonceBytes, -tagBytes));
    try {
      decipher.final();
    } catch {
      dek.fill(0);
      throw notAuthentic();
    }
    return dek;
  }

  wipe(): void {
    this.#wiped = true;
    this.#bytes.fill(0);
  }

  #usable(): Buffer {
    if (!this.#wiped) return this.#bytes;
    throw new KeyServiceError('unavailable', 'KekWiped', 'the plugin is stopping', 'ask the next one');
  }
}

function bound({ keyId, annotations }: DekContext): Buffer {
  const entries = Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat([
    Buffer.from('keyferry.dev/dek/v1\0'),
    ...[keyId, ...entries.flat()].flatMap((part) => {
      const bytes = Buffer.from(part as Buffer);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  ]);
}

function notAuthentic(): KeyServiceError {
  return new KeyServiceError(
    'invalid',
    'CiphertextInvalid',
    'ciphertext, key id and annotations do not belong together',
    'give all three as they were answered by Encrypt',
  );
}
