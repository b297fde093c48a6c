import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { Decrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { pino } from 'pino';
import { kmsV2Limits } from '../envelope/limits.ts';
import { DekOpener } from './dek-opener.ts';
import { type SealedDek } from './dek-sealer.ts';
import { escrowRecipients } from './escrow-recipients.ts';
import { EscrowIdentities, escrowTo } from './escrow.ts';
import { KeyHierarchy } from './hierarchy.ts';
import { InMemoryTestDoubleKeyService } from './in-memory.test-helper.ts';
import { annotationNames, LocalKek } from './local-kek.ts';

const seed = randomBytes(32);
const options = { maxAgeMs: 1e9, maxUses: 1e9 };
const memory = { keys: 10, ttlMs: 1e9, graceMs: 1e9 };
const silent = pino({ level: 'silent' });

let identities: string[];
let recipients: string[];
let sealed: SealedDek;

beforeAll(async () => {
  identities = await Promise.all(Array.from({ length: 3 }, () => generateX25519Identity()));
  recipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
  sealed = await sealTo(recipients.slice(0, 2));
});

/** Seals the seed, and then the key service is lost for good. */
async function sealTo(some: readonly string[]): Promise<SealedDek> {
  const keys = new InMemoryTestDoubleKeyService();
  const hierarchy = new KeyHierarchy(keys, new DekOpener(keys, memory), options, silent, {
    escrow: escrowTo(some),
  });
  await hierarchy.adopt(await keys.current(), () => Promise.resolve());
  const one = await hierarchy.seal(seed);
  hierarchy.close();
  return one;
}

function identityFile(...held: (string | undefined)[]): string {
  return `# created: 2026-01-01T00:00:00Z\n# public key: age1…\n${held.join('\n')}\n`;
}

describe('an escrow', () => {
  it('opens with the identity of either recipient, and without any key service', async () => {
    for (const identity of identities.slice(0, 2)) {
      expect(await new EscrowIdentities(identityFile(identity)).open(sealed)).toEqual(seed);
    }
    const both = new EscrowIdentities(identityFile(identities[2], identities[1]));
    expect(await both.open(sealed)).toEqual(seed);
  });

  it('does not open with the identity of anybody else, and says whose it needs', async () => {
    await expect(new EscrowIdentities(identityFile(identities[2])).open(sealed)).rejects.toMatchObject({
      code: 'EscrowNotOpened',
      message: expect.stringContaining(recipients[0] ?? '?'),
    });
  });

  it('is an age file of the bare KEK', async () => {
    const decrypter = new Decrypter();
    decrypter.addIdentity(identities[0] ?? '');
    const kek = await decrypter.decrypt(escrowOf(sealed));
    expect(kek).toHaveLength(32);
    expect(new LocalKek(Buffer.from(kek)).open(sealed.ciphertext, sealed)).toEqual(seed);
  });

  it('names its recipients, so that anybody sees who can open', () => {
    expect(escrowRecipients(sealed.annotations)).toEqual(recipients.slice(0, 2));
    expect(escrowRecipients({})).toEqual([]);
  });

  it('of 16 recipients stays far within what annotations may hold', async () => {
    const many = await Promise.all(
      Array.from({ length: 16 }, async () => identityToRecipient(await generateX25519Identity())),
    );
    const { annotations } = await sealTo(many);
    const bytes = Object.entries(annotations).reduce(
      (sum, [name, { length }]) => sum + name.length + length,
      0,
    );
    expect(bytes).toBeLessThan(kmsV2Limits.annotationBytes / 4);
  });

  it.each([
    ['its age file changed', (file: Buffer) => Buffer.concat([file.subarray(0, -1), Buffer.of(0)])],
    ['its age file cut', (file: Buffer) => file.subarray(0, 100)],
    ['no age file in it', () => Buffer.alloc(300)],
  ])('does not open with %s', async (_, change) => {
    const annotations = { ...sealed.annotations, [annotationNames.escrow]: change(escrowOf(sealed)) };
    const opener = new EscrowIdentities(identityFile(identities[0]));
    await expect(opener.open({ ...sealed, annotations })).rejects.toMatchObject({ code: 'EscrowNotOpened' });
  });

  it('does not open what it was not made with', async () => {
    const other = await sealTo(recipients.slice(0, 2));
    const opener = new EscrowIdentities(identityFile(identities[0]));
    for (const mixed of [
      { ...sealed, keyId: 'another' },
      { ...sealed, ciphertext: other.ciphertext },
      { ...sealed, annotations: { ...sealed.annotations, [annotationNames.kek]: Buffer.from('x') } },
      {
        ...sealed,
        annotations: { ...sealed.annotations, [annotationNames.escrowRecipients]: Buffer.from('x') },
      },
    ]) {
      await expect(opener.open(mixed)).rejects.toMatchObject({ code: 'CiphertextInvalid' });
    }
  });

  it('is missed by name where there was none', async () => {
    const keys = new InMemoryTestDoubleKeyService();
    const hierarchy = new KeyHierarchy(keys, new DekOpener(keys, memory), options, silent);
    await hierarchy.adopt(await keys.current(), () => Promise.resolve());
    const opener = new EscrowIdentities(identityFile(identities[0]));
    await expect(opener.open(await hierarchy.seal(seed))).rejects.toMatchObject({ code: 'EscrowMissing' });
  });

  it.each([
    ['nothing', '# only a comment\n'],
    ['a recipient', 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudsqmrqtqt9n7m\n'],
    ['a mistyped identity', `AGE-SECRET-KEY-1${'Q'.repeat(58)}\n`],
  ])('takes no %s for an identity, and repeats none of it', (_, text) => {
    expect(() => new EscrowIdentities(text)).toThrow(
      expect.objectContaining({
        code: 'InputEscrowIdentity',
        message: expect.not.stringContaining(text.trim()),
      }),
    );
  });

  it('takes no mistyped recipient', () => {
    expect(() => escrowTo([`age1${'q'.repeat(58)}`])).toThrow(
      expect.objectContaining({ code: 'EscrowRecipientInvalid' }),
    );
  });
});

function escrowOf({ annotations }: SealedDek): Buffer {
  return annotations[annotationNames.escrow] ?? Buffer.alloc(0);
}
