import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { withSecret, type ProviderReference } from './index.ts';

describe("a target's key", () => {
  let folder: string;
  const secret = randomBytes(32).toString('base64');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kf-secret-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function reading(content: string): Promise<ProviderReference> {
    const secretFile = join(folder, 'key2');
    await writeFile(secretFile, content);
    return { type: 'aesgcm', keyName: 'key2', secretFile };
  }

  it('is read from its file on the node, as base64 writes it there', async () => {
    expect(await withSecret(await reading(`${secret}\n`))).toEqual({
      type: 'aesgcm',
      keyName: 'key2',
      secret,
    });
  });

  it('is not looked for where the target has none in the file', async () => {
    expect(await withSecret({ type: 'identity' })).toEqual({ type: 'identity' });
  });

  it.each([
    ['raw bytes', randomBytes(32).toString('latin1')],
    ['two keys', `${secret}\n${secret}`],
    ['nothing', ''],
  ])('is refused where the file holds %s, without showing them', async (_, content) => {
    const refused = await withSecret(await reading(content)).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'EncryptionConfigurationSecretFile',
      remedy: expect.stringContaining('base64'),
      message: expect.not.stringContaining(secret),
    });
  });

  it('that is not there is told by its path', async () => {
    const away = { type: 'aescbc', keyName: 'k', secretFile: join(folder, 'away') } as const;
    await expect(withSecret(away)).rejects.toMatchObject({
      code: 'FileNotFound',
      message: expect.stringContaining(away.secretFile),
    });
  });
});
