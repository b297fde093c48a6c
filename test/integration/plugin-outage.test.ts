import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { writeByRename } from '../../lab/files.ts';
import { Journal } from '../../lab/journal.ts';
import { type Lab } from '../../lab/lab.ts';
import { freePort } from '../../lab/ports.ts';
import { seedObjects, verifyContent } from '../../lab/seed.ts';
import { TRANSIT_KEY, TRANSIT_MOUNT } from '../../lab/vault.ts';
import { waitFor } from '../../lab/wait.ts';
import { decodeKmsV2 } from '../../src/envelope/kms-v2.ts';
import { messageOf } from '../../src/errors.ts';
import { CleanUp } from '../support/clean-up.ts';
import { runCli } from '../support/cli.ts';
import { storedUnder } from '../support/etcd.ts';
import { KMS, kmsLab } from '../support/kms-lab.ts';

/** How long Vault is away at least: `npm run test:outage` has it away for 5 min, longer than an API server trusts a Status. */
const OUTAGE_MS = 1_000 * Number(process.env['OUTAGE_SECONDS'] ?? 20);
const SECRETS = 100;
/** A plugin asks for its key's version once a minute, and an API server asks the plugin as often. */
const NOTICED_WITHIN_MS = 240_000;

jest.setTimeout(OUTAGE_MS + 600_000);

const cleanUp = new CleanUp();
let lab: Lab;
let metricsPort: number;
let journal: Journal;
let reading: Reading;

beforeAll(async () => {
  const folder = cleanUp.keep(mkdtempSync(join(tmpdir(), 'kf-')), (path) => rm(path, { recursive: true }));
  metricsPort = await freePort();
  const plugin = { metrics: { address: `127.0.0.1:${metricsPort}` } };
  lab = cleanUp.keep(await kmsLab(join(folder, 'lab'), { plugin }), (up) => up.down());
  await seedObjects(lab, { secrets: SECRETS });
  journal = cleanUp.keep(await Journal.start(lab, { rate: 20 }), (begun) => begun.stop());
  reading = cleanUp.keep(keepReading(lab), (begun) => begun.stop());
}, 900_000);

afterAll(() => cleanUp.run(), 120_000);

interface Reading {
  /** Times that every seeded Secret was read. */
  readonly times: number;
  /** What couldn't be read as it was written, at any time. */
  readonly wrong: readonly unknown[];
  stop(): Promise<void>;
}

function keepReading(of: Lab): Reading {
  const stopping = new AbortController();
  const wrong: unknown[] = [];
  let times = 0;
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const { missing, different, unreadable } = await verifyContent(of);
        wrong.push(...missing, ...different, ...unreadable);
        times += 1;
      } catch (error) {
        wrong.push(messageOf(error));
      }
      await sleep(500);
    }
  })();
  return {
    get times() {
      return times;
    },
    wrong,
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

async function plugin(path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${metricsPort}${path}`)).text();
}

async function untilPluginSays(text: string): Promise<void> {
  await waitFor(
    { what: `the plugin to say "${text}"`, timeoutMs: NOTICED_WITHIN_MS, intervalMs: 500 },
    async () => {
      const said = await plugin('/readyz');
      if (!said.includes(text)) throw new Error(said);
      return true;
    },
  );
}

/** As Status names it. */
async function keyId(): Promise<string> {
  return /^keyferry_plugin_key_id_info\{.*key_id="([^"]+)"/m.exec(await plugin('/metrics'))?.[1] ?? '';
}

async function secretsInEtcd() {
  return await storedUnder(lab, '/registry/secrets/');
}

/** Waits until the client has written, and every Secret was read, once more. */
async function untilUsedAgain(): Promise<void> {
  const [{ writes }, { times }] = [journal.progress(), reading];
  await waitFor({ what: 'another round of writes and reads', timeoutMs: 120_000 }, () =>
    Promise.resolve(journal.progress().writes > writes + 10 && reading.times > times + 1),
  );
}

function expectNoRequestFailed(): void {
  expect(journal.progress()).toMatchObject({ failed: {}, refused: {} });
  expect(reading.wrong).toEqual([]);
}

/** Vault's own answer about a token, by the root token. */
async function vault(path: string, body: object): Promise<{ status: number; text: string }> {
  const client = lab.vaultAdmin();
  try {
    return await client.request('POST', `/v1/${path}`, body);
  } finally {
    client.close();
  }
}

test('Vault goes away and the token with it: writes and reads go on, and nobody has to do anything when it is back', async () => {
  await untilPluginSays(`[+]${KMS} ok`);
  const { token: tokenFile } = lab.paths.vault;
  const token = readFileSync(tokenFile, 'utf8');
  const made = await vault('auth/token/create-orphan', { policies: ['keyferry'], period: '24h' });
  const { auth } = JSON.parse(made.text) as { auth: { client_token: string } };
  expect((await vault('auth/token/revoke', { token })).status).toBe(204);
  await lab.stopVault();
  const ends = Date.now() + OUTAGE_MS;

  await untilPluginSays(`[+]${KMS} degraded`);
  await untilUsedAgain();
  // Whoever has no DEK in memory has the plugin open them, as an API server that starts would.
  const stored = await secretsInEtcd();
  const { code, stderr } = await runCli(
    [
      ...['envelope', 'open', '--resource', 'secrets'],
      ...['--encryption-config', lab.paths.node('cp-1').encryptionConfiguration],
    ],
    {
      input: stored
        .map(({ key, value }) => JSON.stringify({ key, value: value.toString('base64') }))
        .join('\n'),
    },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  writeByRename(tokenFile, auth.client_token);
  await sleep(Math.max(0, ends - Date.now()));
  await untilUsedAgain();

  await lab.startVault();
  await untilPluginSays(`[+]${KMS} ok`);
  await untilUsedAgain();
  expect((await vault('auth/token/lookup', { token })).status).toBe(403);
  expectNoRequestFailed();
});

test('the key is rotated in Vault: the API server takes the new key id up, and no request fails', async () => {
  const before = await keyId();
  expect((await vault(`${TRANSIT_MOUNT}/keys/${TRANSIT_KEY}/rotate`, {})).status).toBe(200);
  const after = await waitFor(
    { what: 'the plugin to name another key id', timeoutMs: NOTICED_WITHIN_MS, intervalMs: 500 },
    async () => {
      await plugin('/readyz');
      const now = await keyId();
      return now === before ? undefined : now;
    },
  );
  const hash = `sha256:${createHash('sha256').update(after).digest('hex')}`;
  const api = lab.api();
  try {
    await waitFor(
      { what: `writes under ${hash}`, timeoutMs: NOTICED_WITHIN_MS, intervalMs: 500 },
      async () => {
        const { text } = await api.request('GET', '/metrics');
        return text
          .split('\n')
          .some(
            (line) =>
              line.startsWith('apiserver_envelope_encryption_key_id_hash_total{') &&
              line.includes(`key_id_hash="${hash}"`) &&
              line.includes(`provider_name="${KMS}"`) &&
              line.includes('transformation_type="to_storage"'),
          );
      },
    );
  } finally {
    api.close();
  }
  await untilUsedAgain();
  const ids = (await secretsInEtcd()).map(({ value }) => decodeKmsV2(value).keyId);
  expect(new Set(ids)).toEqual(new Set([before, after]));
  expectNoRequestFailed();
});

test('of all that was written meanwhile nothing was lost, and everything opens', async () => {
  await journal.stop();
  await reading.stop();
  const report = await journal.check();
  expect(report.writes).toBeGreaterThan(0);
  expect(report).toMatchObject({ lost: [], unreadable: [], failed: {}, refused: {} });
  expect(reading.times).toBeGreaterThan(0);
  expect(reading.wrong).toEqual([]);
});
