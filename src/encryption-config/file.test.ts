import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  dropOriginal,
  hashOf,
  isMountPoint,
  keepOriginal,
  readConfigurationFile,
  readOriginal,
  replaceConfigurationFile,
} from './index.ts';

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keyferry-file-'));
  path = join(directory, 'config.yaml');
  await writeFile(path, 'old');
  await chmod(path, 0o640);
});
afterEach(() => rm(directory, { recursive: true }));

const code = (wanted: string): unknown => expect.objectContaining({ code: wanted });

describe('reading a configuration file', () => {
  it('tells text, hash, mode and owner', async () => {
    const { uid, gid } = await stat(path);
    expect(await readConfigurationFile(path)).toEqual({
      text: 'old',
      hash: hashOf('old'),
      mode: 0o640,
      uid,
      gid,
    });
  });
  it('says that it is not there', () =>
    expect(readConfigurationFile(join(directory, 'x'))).rejects.toEqual(code('FileNotFound')));
  it('says that it is a directory', () =>
    expect(readConfigurationFile(directory)).rejects.toEqual(code('FileIsDirectory')));
  it('says that it is no text', async () => {
    await writeFile(path, Buffer.from([0x61, 0xff]));
    await expect(readConfigurationFile(path)).rejects.toEqual(code('FileNotText'));
  });
  it('says that a part of the path is a file', () =>
    expect(readConfigurationFile(join(path, 'x'))).rejects.toEqual(code('FileNotFound')));
});

describe('replacing a configuration file', () => {
  it('keeps mode and owner, and leaves nothing else behind', async () => {
    const before = await stat(path);
    expect(await replaceConfigurationFile(path, 'new', { expectedHash: hashOf('old') })).toEqual({
      hash: hashOf('new'),
    });
    const after = await stat(path);
    expect([await readFile(path, 'utf8'), after.mode, after.uid, after.gid]).toEqual([
      'new',
      before.mode,
      before.uid,
      before.gid,
    ]);
    expect(await readdir(directory)).toEqual(['config.yaml']);
  });

  it('is refused when someone else changed the file', async () => {
    await expect(replaceConfigurationFile(path, 'new', { expectedHash: hashOf('older') })).rejects.toEqual(
      code('EncryptionConfigurationChanged'),
    );
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  it('overwrites what a crash left behind', async () => {
    await writeFile(join(directory, '.config.yaml.keyferry-new'), 'half');
    await replaceConfigurationFile(path, 'new', { expectedHash: hashOf('old') });
    expect(await readdir(directory)).toEqual(['config.yaml']);
  });

  it('goes through a symbolic link, as the API server reads it', async () => {
    const link = join(directory, 'link.yaml');
    await symlink(path, link);
    await replaceConfigurationFile(link, 'new', { expectedHash: hashOf('old') });
    expect(await readFile(path, 'utf8')).toBe('new');
  });

  it('fails where the file cannot be replaced, and leaves it as it was', async () => {
    const blocked = join(directory, '.config.yaml.keyferry-new');
    await mkdir(blocked);
    await expect(
      replaceConfigurationFile(path, 'new', { expectedHash: hashOf('old') }),
    ).rejects.toHaveProperty('remedy');
    expect(await readFile(path, 'utf8')).toBe('old');
  });
});

describe('a mount point', () => {
  it('is no file in a directory', async () => expect(await isMountPoint(path)).toBe(false));
  it('is the root of a file system', async () => expect(await isMountPoint('/proc')).toBe(true));
});

describe('the original', () => {
  it('is what the file was when it was first kept', async () => {
    await keepOriginal(path, 'm1');
    await replaceConfigurationFile(path, 'new', { expectedHash: hashOf('old') });
    expect(await keepOriginal(path, 'm1')).toEqual({ hash: hashOf('old') });
    expect(await readOriginal(path, 'm1')).toMatchObject({ text: 'old', mode: 0o640 });
  });
  it('is kept for each migration', async () => {
    await keepOriginal(path, 'm1');
    await expect(readOriginal(path, 'm2')).rejects.toEqual(code('FileNotFound'));
  });
  it('can be dropped more than once', async () => {
    await keepOriginal(path, 'm1');
    await dropOriginal(path, 'm1');
    await dropOriginal(path, 'm1');
    expect(await readdir(directory)).toEqual(['config.yaml']);
  });
});
