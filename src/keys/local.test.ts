import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { describeKeyServiceContract } from './key-service.contract.test-helper.ts';
import { LocalKeyService } from './local.ts';

let folder: string;
let keyFile: string;
let key: Buffer;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-local-'));
  key = randomBytes(32);
  keyFile = write('key', key);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | Buffer, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

const open = (file = keyFile) => new LocalKeyService({ service: 'edge', keyFile: file });
const noProcess = { notShown: 'the key is in a file: there is no service' };
const done = (work: () => void) => () => {
  work();
  return Promise.resolve();
};

describeKeyServiceContract('a local key', {
  open: () => open(),
  openOther: () => open(write('other', randomBytes(32))),
  credentials: () => [key.toString('latin1'), key.toString('base64'), key.toString('hex')],
  longestPlaintext: 900,
  disabled: {
    cause: done(() => chmodSync(keyFile, 0o644)),
    undo: done(() => chmodSync(keyFile, 0o600)),
    kinds: ['denied'],
  },
  deleted: { cause: done(() => rmSync(keyFile)), kinds: ['not-found'] },
  revoked: { notShown: 'there are no credentials but the right to read the file' },
  expired: { notShown: 'a file does not expire' },
  network: noProcess,
  frozen: noProcess,
  restarted: noProcess,
});

describe('a local key', () => {
  it('has one id whether its file holds it raw or in base64, and the id tells nothing of it', async () => {
    const { keyId } = await open().current();
    expect(keyId).toMatch(/^local:edge\/[0-9a-f]{32}$/);
    expect(key.toString('hex')).not.toContain(keyId.slice(-32, -16));
    const inBase64 = write('base64', `${key.toString('base64')}\n`);
    expect((await open(inBase64).current()).keyId).toBe(keyId);
  });

  it('that another one took the place of neither seals nor opens', async () => {
    const keys = open();
    const version = await keys.current();
    const sealed = await keys.encrypt(Buffer.from('seed'), version);
    renameSync(write('next', randomBytes(32)), keyFile);
    const gone = {
      code: 'WrongKeyId',
      kind: 'wrong-key',
      remedy: expect.stringContaining('put that one back'),
    };
    await expect(keys.encrypt(Buffer.from('seed'), version)).rejects.toMatchObject(gone);
    await expect(keys.decrypt(sealed, version.keyId)).rejects.toMatchObject(gone);
    expect((await keys.current()).keyId).not.toBe(version.keyId);
  });

  it.each(['0604', '0602', '0601', '0620'])('is refused with mode %s', async (mode) => {
    chmodSync(keyFile, Number.parseInt(mode, 8));
    await expect(open().current()).rejects.toMatchObject({
      code: 'LocalKeyUnfit',
      kind: 'denied',
      message: expect.stringContaining(`mode ${mode}:`),
    });
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['31 bytes', Buffer.alloc(31)],
    ['33 bytes', Buffer.alloc(33)],
    ['16 bytes in base64', Buffer.alloc(16, 7).toString('base64')],
    ['base64 with a character too many', `${Buffer.alloc(32, 7).toString('base64')}A`],
    ['a large file', Buffer.alloc(100_000, 'A')],
  ])('is refused out of a file with %s', async (_, content) => {
    await expect(open(write('bad', content)).current()).rejects.toMatchObject({ code: 'LocalKeyUnfit' });
  });

  it('is refused out of a folder', async () => {
    mkdirSync(join(folder, 'folder'), { mode: 0o700 });
    await expect(open(join(folder, 'folder')).current()).rejects.toMatchObject({ code: 'LocalKeyUnfit' });
  });
});
