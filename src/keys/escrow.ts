import { hash } from 'node:crypto';
import { Decrypter, Encrypter } from 'age-encryption';
import { KeyferryError } from '../errors.ts';
import { type SealedDek } from './dek-sealer.ts';
import { escrowRecipients } from './escrow-recipients.ts';
import { type KekEscrow } from './hierarchy.ts';
import { KekCache } from './kek-cache.ts';
import { annotationNames, LocalKek } from './local-kek.ts';

const identityPattern = /^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/;

/**
 * Seals each local KEK to offline recipients too, so that whoever holds an identity of one of them opens what it seals
 * without the key service. The annotation holds an age file of exactly the KEK's 32 bytes: `age --decrypt` opens it.
 *
 * @param recipients - each matches `escrowRecipientPattern`
 * @throws KeyferryError `EscrowRecipientInvalid` for one whose checksum is wrong
 */
export function escrowTo(recipients: readonly string[]): KekEscrow {
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch {
      throw new KeyferryError('EscrowRecipientInvalid', `${recipient} is no age recipient`, {
        remedy: 'copy the recipient as age-keygen printed it',
      });
    }
  }
  const named = Buffer.from(recipients.join('\n'));
  return async (kek) => ({
    [annotationNames.escrow]: Buffer.from(await encrypter.encrypt(kek)),
    [annotationNames.escrowRecipients]: named,
  });
}

/** Of KEKs that were opened: one is met in many values. */
const memory = { maxKeys: 1_000, ttlMs: 86_400_000, graceMs: 0, now: Date.now };

/** Offline identities. Holds key material: never logged. */
export class EscrowIdentities {
  readonly #decrypter = new Decrypter();
  readonly #opened = new KekCache(memory);

  /**
   * @param text - a file as age-keygen writes it: an identity a line, comments from `#`
   * @throws KeyferryError `InputEscrowIdentity`; it doesn't quote the text
   */
  constructor(text: string) {
    const lines = text.split('\n').map((line) => line.trim());
    const identities = lines.filter((line) => line !== '' && !line.startsWith('#'));
    if (identities.length === 0) throw badIdentity('it holds none');
    for (const identity of identities) {
      if (!identityPattern.test(identity)) throw badIdentity('a line is none');
      try {
        this.#decrypter.addIdentity(identity);
      } catch {
        throw badIdentity('the checksum of one is wrong');
      }
    }
  }

  /**
   * Opens a DEK seed that a plugin with escrow sealed, from its three parts alone: no key service, no plugin, no network.
   *
   * It proves no sender. Recipients are public: whoever can write to etcd can make a value that opens so, though none that
   * opens with the key service.
   *
   * @returns the DEK seed, as the plugin's Decrypt would answer it
   * @throws KeyferryError `EscrowMissing` without the annotation, `EscrowNotOpened` when no identity is a recipient's or
   *   the file was changed; KeyServiceError kind `invalid` when the parts do not belong together
   */
  async open(sealed: SealedDek): Promise<Buffer> {
    const file = sealed.annotations[annotationNames.escrow];
    if (file === undefined) {
      throw new KeyferryError('EscrowMissing', `there is no annotation ${annotationNames.escrow}`, {
        remedy: 'open it with its key service: the plugin that sealed it had no escrow',
      });
    }
    return await this.#opened.use(
      hash('sha256', file),
      async () => new LocalKek(await this.#decrypt(file, sealed.annotations)),
      (kek) => kek.open(sealed.ciphertext, sealed),
    );
  }

  /** Wipes the KEKs that were opened. */
  close(): void {
    this.#opened.close();
  }

  async #decrypt(file: Buffer, annotations: SealedDek['annotations']): Promise<Buffer> {
    try {
      return Buffer.from(await this.#decrypter.decrypt(file));
    } catch {
      throw new KeyferryError(
        'EscrowNotOpened',
        `no identity opens the escrow sealed to ${recipientsOf(annotations)}`,
        { remedy: 'give the identity of one of these recipients' },
      );
    }
  }
}

function recipientsOf(annotations: SealedDek['annotations']): string {
  const named = escrowRecipients(annotations);
  return named.length === 0 ? 'recipients that are not named' : named.join(', ');
}

function badIdentity(why: string): KeyferryError {
  return new KeyferryError('InputEscrowIdentity', `the escrow identity can't be used: ${why}`, {
    remedy: 'give a file of age identities (AGE-SECRET-KEY-1…), as age-keygen writes it',
  });
}
