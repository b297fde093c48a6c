import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { writeByRename } from '../../lab/files.ts';
import { type Lab } from '../../lab/lab.ts';
import { seedObjects, verifyContent } from '../../lab/seed.ts';
import { decodeKmsV2 } from '../../src/envelope/kms-v2.ts';
import { CleanUp } from '../support/clean-up.ts';
import { runCli } from '../support/cli.ts';
import { formats, store, storedUnder, TARGET_FORMAT, type StoredValue } from '../support/etcd.ts';
import { encryptionOfSecrets, kmsLab } from '../support/kms-lab.ts';

jest.setTimeout(300_000);

const NODE = 'cp-1';
const SECRETS = 60;
const cleanUp = new CleanUp();

let lab: Lab;
let folder: string;
let recipient: string;
/** Of the recipient, and of somebody else: nothing of the cluster has them. */
let identityFile: string;
let strangerFile: string;
/** What etcd held when everything else was lost. */
let values: StoredValue[];

interface Line {
  readonly key: string;
  readonly value?: string;
  readonly error?: string;
  readonly stale?: boolean;
}

beforeAll(async () => {
  folder = cleanUp.keep(mkdtempSync(join(tmpdir(), 'kf-')), (path) => rm(path, { recursive: true }));
  const identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
  [identityFile, strangerFile] = [join(folder, 'offline.txt'), join(folder, 'stranger.txt')];
  writeFileSync(identityFile, `# kept in a safe\n${identity}\n`, { mode: 0o600 });
  writeFileSync(strangerFile, `${await generateX25519Identity()}\n`, { mode: 0o600 });

  const escrow = { recipients: [recipient], whoeverHoldsAnIdentityCanDecrypt: true };
  lab = cleanUp.keep(await kmsLab(join(folder, 'lab'), { key: { escrow } }), (up) => up.down());
  await seedObjects(lab, { secrets: 40 });
  // A second DEK seed, under the same local KEK: those that come to the others.
  await lab.restartApiServer(NODE);
  await seedObjects(lab, { secrets: SECRETS });

  await loseEverythingButEtcd();
  values = await storedUnder(lab, '/registry/secrets/');
  expect(formats(values)).toEqual({ [TARGET_FORMAT]: SECRETS });
  const seeds = values.map(({ value }) => decodeKmsV2(value).encryptedDekSource.toString('base64'));
  expect(new Set(seeds).size).toBe(2);
}, 900_000);

afterAll(() => cleanUp.run(), 120_000);

async function loseEverythingButEtcd(): Promise<void> {
  for (const process of [`${NODE}.apiserver`, `${NODE}.plugin`, 'vault']) await lab.kill(process);
  const own = lab.paths.node(NODE);
  await rm(lab.paths.vault.dir, { recursive: true });
  await rm(own.pluginConfiguration);
  await rm(own.socket);
}

async function open(some: readonly StoredValue[], ...flags: string[]) {
  const input = some.map(({ key, value }) => JSON.stringify({ key, value: value.toString('base64') }));
  const { code, stdout, stderr } = await runCli(
    [
      ...['envelope', 'open', '--resource', 'secrets'],
      ...['--encryption-config', lab.paths.node(NODE).encryptionConfiguration, ...flags],
    ],
    { input: input.join('\n') },
  );
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  return { code, stderr, lines };
}

test('without the plugin nothing opens', async () => {
  expect(existsSync(lab.paths.vault.dir)).toBe(false);
  const { code, lines } = await open(values.slice(0, 1));
  expect(code).toBe(1);
  expect(lines).toEqual([{ key: values[0]?.key, error: expect.stringContaining('plugin') }]);
});

test('with the identity of somebody else nothing opens either, and each value says whose it needs', async () => {
  const { code, lines, stderr } = await open(values, '--escrow-identity', strangerFile);
  expect(code).toBe(1);
  expect(lines).toEqual(
    values.map(({ key }) => ({
      key,
      error: `no identity opens the escrow sealed to ${recipient} (what to do: give the identity of one of these recipients)`,
    })),
  );
  expect(stderr).toBe('');
});

test('the offline identity alone gives back every Secret, to an API server without any key', async () => {
  const { code, lines, stderr } = await open(values, '--escrow-identity', identityFile);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(lines.map(({ key }) => key)).toEqual(values.map(({ key }) => key));

  for (const { key, value, stale } of lines) {
    const plaintext = Buffer.from(value ?? '', 'base64');
    expect({ key, magic: plaintext.toString('latin1', 0, 4), stale }).toEqual({
      key,
      magic: 'k8s\0',
      stale: true,
    });
    await store(lab, key, plaintext);
  }
  writeByRename(lab.paths.node(NODE).encryptionConfiguration, encryptionOfSecrets({ identity: {} }));
  await lab.start(`${NODE}.apiserver`);
  expect(await verifyContent(lab)).toEqual({
    checked: SECRETS,
    missing: [],
    different: [],
    unreadable: [],
  });
  expect(formats(await storedUnder(lab, '/registry/secrets/'))).toEqual({ plain: SECRETS });
});
