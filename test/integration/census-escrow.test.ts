import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { pino } from 'pino';
import { countFrom } from '../../src/census/count.ts';
import { compileNames } from '../../src/envelope/header.ts';
import { sealKmsV2 } from '../../src/envelope/kms-v2.ts';
import { DekOpener } from '../../src/keys/dek-opener.ts';
import { escrowTo } from '../../src/keys/escrow.ts';
import { KeyHierarchy } from '../../src/keys/hierarchy.ts';
import { InMemoryTestDoubleKeyService } from '../../src/keys/in-memory.test-helper.ts';
import { addTally, emptyTally, MAX_RECIPIENTS, type CensusTally } from '../../src/plan/tally.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';
import { SECRETS } from '../../src/cluster/resources.test-helper.ts';

jest.setTimeout(120_000);

const keys = (count: number, group: string): string[] =>
  Array.from({ length: count }, (_, i) => `/registry/secrets/default/${group}-${i}`);

const cleanUp = new CleanUp();
let etcd: EtcdAlone;
let recipients: string[];

beforeAll(async () => {
  etcd = cleanUp.keep(await EtcdAlone.up(), (up) => up.down());
  recipients = await Promise.all(
    Array.from({ length: MAX_RECIPIENTS + 8 }, async () =>
      identityToRecipient(await generateX25519Identity()),
    ),
  );
});

afterAll(() => cleanUp.run());

beforeEach(async () => {
  const { entries } = await etcd.client.range({ start: '/', end: '0', limit: 10_000, keysOnly: true });
  await etcd.remove(entries.map(({ key }) => key));
});

/** A value as an API server stores it whose plugin has an escrow to some. */
async function sealedTo(some: readonly string[]): Promise<Buffer> {
  const service = new InMemoryTestDoubleKeyService();
  const opener = new DekOpener(service, { keys: 10, ttlMs: 1e9, graceMs: 1e9 });
  const escrow = some.length === 0 ? {} : { escrow: escrowTo(some) };
  const options = { maxAgeMs: 1e9, maxUses: 1e9 };
  const hierarchy = new KeyHierarchy(service, opener, options, pino({ level: 'silent' }), escrow);
  await hierarchy.adopt(await service.current(), () => Promise.resolve());
  const seed = randomBytes(32);
  const { ciphertext, ...sealed } = await hierarchy.seal(seed);
  return sealKmsV2({
    ...sealed,
    seed,
    encryptedDekSource: ciphertext,
    providerName: 'vault',
    etcdKey: '/registry/secrets/default/a',
    plaintext: Buffer.from('an object'),
  });
}

/** With no time at all, each page is a chunk of its own. */
async function census(timeMs: number): Promise<CensusTally> {
  let whole = emptyTally();
  let cursor: string | undefined;
  do {
    const part = await countFrom(
      etcd.client,
      SECRETS,
      cursor,
      { type: 'kms', name: 'vault' },
      compileNames([]),
      { timeMs, signal: new AbortController().signal, onProgress: () => undefined },
    );
    whole = addTally(whole, part.tally);
    cursor = part.cursor;
  } while (cursor !== undefined);
  return whole;
}

describe('a census of values that have an escrow', () => {
  test.each([0, 60_000])('names each recipient once, with chunks of %d ms', async (timeMs) => {
    const [a = '', b = '', c = ''] = recipients;
    await etcd.put(keys(300, 'one'), await sealedTo([a, b]));
    await etcd.put(keys(300, 'two'), await sealedTo([b, c]));
    await etcd.put(keys(5, 'none'), await sealedTo([]));
    await etcd.put(keys(5, 'plain'), Buffer.from('k8s\0an object'));
    const { objects, escrow } = await census(timeMs);
    expect({ objects, escrow }).toEqual({
      objects: 610,
      escrow: { recipients: [a, b, c].sort(), more: false },
    });
  });

  test('names none where there is none', async () => {
    await etcd.put(keys(5, 'none'), await sealedTo([]));
    expect((await census(0)).escrow).toEqual({ recipients: [], more: false });
  });

  test('says that one is not named, rather than that there is none', async () => {
    const value = sealKmsV2({
      providerName: 'vault',
      etcdKey: '/registry/secrets/default/a',
      plaintext: Buffer.from('an object'),
      seed: randomBytes(32),
      keyId: 'k',
      encryptedDekSource: randomBytes(60),
      annotations: {
        'escrow.keyferry.dev': Buffer.from('x'),
        'recipients.escrow.keyferry.dev': Buffer.from('x'),
      },
    });
    await etcd.put(keys(2, 'odd'), value);
    expect((await census(0)).escrow).toEqual({ recipients: ['unnamed'], more: false });
  });

  test('holds so many and no more, and says that there are more', async () => {
    for (const [i, one] of recipients.entries()) await etcd.put(keys(1, `r${i}`), await sealedTo([one]));
    const { escrow } = await census(0);
    expect(escrow?.recipients).toHaveLength(MAX_RECIPIENTS);
    expect(escrow?.more).toBe(true);
  });
});
