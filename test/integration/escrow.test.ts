import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { pino } from 'pino';
import { findServer } from '../../lab/servers.ts';
import { escrowTo } from '../../src/keys/escrow.ts';
import { InMemoryTestDoubleKeyService } from '../../src/keys/in-memory.test-helper.ts';
import { LocalKek } from '../../src/keys/local-kek.ts';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { KmsPluginServer } from '../../src/kms-plugin/server.ts';

const run = promisify(execFile);

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the age tool', () => {
  it('opens the escrow of a value: what it prints is the KEK that opens the DEK seed', async () => {
    const age = await findServer('age', (line) => process.stderr.write(`${line}\n`));
    const identities = [await generateX25519Identity(), await generateX25519Identity()];
    const recipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
    const server = await KmsPluginServer.start(
      join(folder, 'p.sock'),
      new InMemoryTestDoubleKeyService(),
      pino({ level: 'silent' }),
      { localKek: { maxAgeMs: 60_000, maxUses: 1_000 }, escrow: escrowTo(recipients) },
    );
    const client = new KmsPluginClient(`unix://${folder}/p.sock`);
    const seed = randomBytes(32);
    const sealed = await client.encrypt(seed, 'u');
    client.close();
    await server.stop();

    writeFileSync(join(folder, 'kek.age'), sealed.annotations['escrow.keyferry.dev'] ?? '');
    for (const identity of identities) {
      writeFileSync(join(folder, 'identity.txt'), `${identity}\n`);
      const { stdout } = await run(
        age,
        ['--decrypt', '--identity', join(folder, 'identity.txt'), join(folder, 'kek.age')],
        { encoding: 'buffer' },
      );
      expect(new LocalKek(stdout).open(sealed.ciphertext, sealed)).toEqual(seed);
    }
  }, 600_000);
});
