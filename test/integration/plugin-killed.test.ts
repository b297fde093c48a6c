import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { writeConfig } from '../../lab/config.ts';
import { type EncryptionContext } from '../../lab/encryption-configuration.ts';
import { Journal } from '../../lab/journal.ts';
import { Lab } from '../../lab/lab.ts';
import { seedObjects, verifyContent } from '../../lab/seed.ts';
import { waitFor } from '../../lab/wait.ts';
import { CleanUp } from '../support/clean-up.ts';
import { encryptionOfSecrets, KMS, kmsLab } from '../support/kms-lab.ts';
import { sealUnder } from '../support/many-seeds.ts';

jest.setTimeout(600_000);

const NODE = 'cp-1';
const SECRETS = 400;
const KILLS = 10;

const cleanUp = new CleanUp();
let lab: Lab;

beforeAll(async () => {
  const folder = cleanUp.keep(mkdtempSync(join(tmpdir(), 'kf-')), (path) => rm(path, { recursive: true }));
  const up = cleanUp.keep(await kmsLab(join(folder, 'lab'), {}, { encryptionConfiguration }), (one) =>
    one.down(),
  );
  await seedObjects(up, { secrets: SECRETS, namespaces: 1, large: 0 });
  await up.stop(`${NODE}.apiserver`);
  // Each Secret under a DEK seed of its own: an API server that knows none of them asks the plugin for each.
  expect(await sealUnder(up, { namespaces: 1, seeds: SECRETS })).toBe(SECRETS);
  // What envelope.go logs at level 6: the uid of each call, and which object it is for.
  const flags = ['--vmodule=envelope=6'];
  writeConfig({ ...up.config, apiServers: up.config.apiServers.map((server) => ({ ...server, flags })) });
  lab = Lab.open(up.dir);
  await lab.start(`${NODE}.apiserver`);
}, 900_000);

afterAll(() => cleanUp.run(), 120_000);

interface Answered {
  readonly call?: string;
  readonly uid?: string;
  readonly msg: string;
}

/** Calls that the plugin answered, of all its lives. */
const answeredByPlugin = (): Answered[] =>
  readFileSync(lab.paths.log(`${NODE}.plugin`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Answered)
    .filter(({ msg }) => msg === 'answered');

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** An API server waits for the plugin until the timeout: long enough for a busy machine to start one. */
function encryptionConfiguration({ endpoint }: EncryptionContext): string {
  return encryptionOfSecrets({ kms: { apiVersion: 'v2', name: KMS, endpoint, timeout: '30s' } });
}

describe('a uid', () => {
  /** The uid that the API server logged with a message about an object. */
  const loggedFor = (message: string, key: string): string | undefined =>
    readFileSync(lab.paths.log(`${NODE}.apiserver`), 'utf8')
      .split('\n')
      .filter((line) => line.includes(`"${message}"`) && line.includes(`key="${key}"`))
      .map((line) => /uid="([^"]+)"/.exec(line)?.[1])
      .at(-1);

  test('names one Encrypt in the log of the API server, with the Secret it wrote under that seed, and in that of the plugin', async () => {
    const api = lab.api();
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'traced' } };
    await api.expect('POST', '/api/v1/namespaces/default/secrets', body);
    api.close();
    const uid = loggedFor('encrypting content using DEK', '/registry/secrets/default/traced');
    expect(uid).toMatch(UUID);
    expect(answeredByPlugin()).toContainEqual(expect.objectContaining({ call: 'Encrypt', uid }));
  });

  test('names one Decrypt in both, with the Secret it opened', () => {
    const uid = loggedFor('decrypting content using envelope service', firstSecret());
    expect(uid).toMatch(UUID);
    expect(answeredByPlugin()).toContainEqual(expect.objectContaining({ call: 'Decrypt', uid }));
  });

  function firstSecret(): string {
    const { objects } = JSON.parse(readFileSync(lab.paths.seed, 'utf8')) as { objects: object };
    return `/registry/${Object.keys(objects)[0] ?? ''}`;
  }
});

describe('a plugin that is killed', () => {
  let journal: Journal;

  beforeAll(async () => {
    journal = cleanUp.keep(await Journal.start(lab, { rate: 20 }), (one) => one.stop());
  });

  const untilWritten = async (more: number) => {
    const { writes } = journal.progress();
    await waitFor({ what: 'more writes', timeoutMs: 60_000 }, () =>
      Promise.resolve(journal.progress().writes > writes + more),
    );
  };

  const decrypts = () => answeredByPlugin().filter(({ call }) => call === 'Decrypt').length;

  const everythingRead = { checked: SECRETS, missing: [], different: [], unreadable: [] };

  test('again and again fails no request of clients that write and read', async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      await lab.kill(`${NODE}.plugin`);
      const read = verifyContent(lab);
      await lab.start(`${NODE}.plugin`);
      expect(await read).toEqual(everythingRead);
      await untilWritten(5);
    }
    expect(journal.progress()).toMatchObject({ failed: {}, refused: {} });
  });

  test('while the API server has it open DEKs is waited for', async () => {
    await untilDeksAreForgotten();
    const before = decrypts();
    const killed = lab.kill(`${NODE}.plugin`);
    const read = verifyContent(lab);
    await killed;
    await lab.start(`${NODE}.plugin`);
    expect(await read).toEqual(everythingRead);
    expect(journal.progress()).toMatchObject({ failed: {}, refused: {} });
    expect(decrypts() - before).toBeGreaterThan(SECRETS / 2);
  });

  test('loses nothing', async () => {
    await journal.stop();
    expect(await journal.check()).toMatchObject({ lost: [], unreadable: [], failed: {}, refused: {} });
  });

  /** An API server that takes up another file forgets each DEK that it had opened. */
  async function untilDeksAreForgotten(): Promise<void> {
    const file = lab.paths.node(NODE).encryptionConfiguration;
    appendFileSync(file, '# another file\n');
    const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
    const api = lab.api();
    try {
      await waitFor({ what: 'the file to be taken up', timeoutMs: 180_000 }, async () =>
        (await api.request('GET', '/metrics')).text.includes(`hash="sha256:${hash}"`),
      );
    } finally {
      api.close();
    }
  }
});
