import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentActivities } from '../../activities/agent.ts';
import { initialEncryptionConfiguration } from '../../lab/encryption-configuration.ts';
import { Clusters } from '../../src/cluster/cluster.ts';
import { hashOf } from '../../src/encryption-config/index.ts';
import { PluginConnections } from '../../src/kms-plugin/connections.ts';
import { type Arrangement } from '../../src/plan/arrangement.ts';
import { type ArrangeInput } from '../../workflows/types.ts';
import { run } from '../support/cli.ts';
import { fill, mayMount, mountFile, mountSmallDisk } from '../support/mounts.ts';
import { makeReadOnly } from '../support/read-only.ts';

jest.setTimeout(60_000);

const AESCBC_KEY = Buffer.alloc(32, 'source').toString('base64');
const OTHER_KEY = Buffer.alloc(32, 'other').toString('base64');
const MIGRATION = 'm-12345678';

const mounting = await mayMount();
/** For what takes a mount; says in its name where it could not be tried. */
const mountTest = (name: string, run: () => Promise<void>): void =>
  mounting ? test(name, run) : test.skip(`${name} (not tried: this machine may not mount)`, run);

describe("a node's configuration file", () => {
  let folder: string;
  let file: string;
  let original: string;
  const undo: (() => Promise<unknown>)[] = [];

  const agent = agentActivities({
    node: 'cp-1',
    restartCommand: undefined,
    clusters: new Clusters(),
    plugins: new PluginConnections(),
  });
  const textOf = (node: string): string =>
    initialEncryptionConfiguration({
      node,
      aescbcKey: AESCBC_KEY,
      endpoint: `unix:///run/${node}.sock`,
      sourceEndpoint: `unix:///run/${node}-source.sock`,
    });
  const input = (arrangement: Arrangement, change: Partial<ArrangeInput> = {}): ArrangeInput => ({
    file,
    resources: ['secrets', 'configmaps'],
    source: { type: 'aescbc', keyName: 'key1' },
    target: { type: 'kms', name: 'vault', endpoint: 'unix:///run/cp-1.sock', timeout: '3s' },
    migrationId: MIGRATION,
    arrangement,
    checkedHash: hashOf(original),
    ...change,
  });
  const arrange = async (arrangement: Arrangement, change?: Partial<ArrangeInput>) =>
    await agent.arrangeConfiguration(input(arrangement, change));
  const kept = (): string => `${file}.keyferry-${MIGRATION}.orig`;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keyferry-files-'));
    file = join(folder, 'config.yaml');
    original = textOf('cp-1');
    await writeFile(file, original, { mode: 0o600 });
  });

  afterEach(async () => {
    for (let one = undo.pop(); one !== undefined; one = undo.pop()) await one();
    await rm(folder, { recursive: true });
  });

  describe('that somebody else changed', () => {
    test('after an edit is refused with what they changed, and left as it is', async () => {
      await arrange('target-reads');
      const ours = await readFile(file, 'utf8');
      const theirs = ours.replace('[secrets, configmaps]', '[secrets, configmaps, pods]');
      await writeFile(file, theirs);
      const refused = arrange('target-writes');
      await expect(refused).rejects.toMatchObject({
        code: 'EncryptionConfigurationChanged',
        retryable: false,
        message: expect.stringMatching(
          /- {2}- resources: \[secrets, configmaps\]\n\+ {2}- resources: \[secrets, configmaps, pods\]/,
        ),
        remedy: expect.stringContaining('put back what was there'),
      });
      await expect(refused).rejects.toMatchObject({ message: expect.not.stringContaining(AESCBC_KEY) });
      expect(await readFile(file, 'utf8')).toBe(theirs);

      await writeFile(file, ours);
      await arrange('target-writes');
      expect(await readFile(file, 'utf8')).toMatch(/kms[^]*aescbc/);
      await arrange('source-only');
      expect(await readFile(file, 'utf8')).toBe(original);
    });

    test('into something like a later arrangement is shown against what keyferry left there', async () => {
      await arrange('target-writes');
      const ours = await readFile(file, 'utf8');
      const theirs = ours.replace(/^ +- aescbc:\n(?: {10,}.*\n)+/m, '').replace('[secrets', '[ secrets');
      expect(theirs).not.toContain('aescbc');
      await writeFile(file, theirs);
      await expect(arrange('target-only', { left: ['target-writes', 'target-only'] })).rejects.toMatchObject({
        message: expect.not.stringContaining('- aescbc:'),
      });
      await expect(arrange('target-writes', { left: ['target-writes'] })).rejects.toMatchObject({
        code: 'EncryptionConfigurationChanged',
        message: expect.stringMatching(/^-\s+- aescbc:/m),
      });
      expect(await readFile(file, 'utf8')).toBe(theirs);
    });

    test('in nothing but a key is refused too, and neither key is shown', async () => {
      await arrange('target-reads');
      const theirs = (await readFile(file, 'utf8')).replace(AESCBC_KEY, OTHER_KEY);
      await writeFile(file, theirs);
      const error: unknown = await arrange('target-writes').catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'EncryptionConfigurationChanged',
        message: expect.stringContaining('in what is not shown: a key'),
      });
      for (const key of [AESCBC_KEY, OTHER_KEY]) expect(String(error)).not.toContain(key);
      expect(await readFile(file, 'utf8')).toBe(theirs);
    });

    test('by another key beside the one is refused, and the difference is cut short without showing it', async () => {
      await arrange('target-reads');
      const more = Array.from(
        { length: 100 },
        (_, i) => `            - name: more-${i}\n              secret: ${OTHER_KEY}\n`,
      ).join('');
      const ours = await readFile(file, 'utf8');
      await writeFile(file, ours.replace('            - name: key1\n', `${more}            - name: key1\n`));
      const error = (await arrange('target-writes').catch((thrown: unknown) => thrown)) as Error;
      expect(error).toMatchObject({ code: 'EncryptionConfigurationChanged' });
      expect(error.message).toContain('+            - name: more-0');
      expect(error.message).not.toContain(OTHER_KEY);
      expect(error.message.length).toBeLessThan(1_500);
    });

    test('into something that is no YAML is refused, and nothing of it is shown', async () => {
      await arrange('target-reads');
      await writeFile(file, `{{ ${OTHER_KEY}`);
      const error: unknown = await arrange('target-writes').catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'EncryptionConfigurationChanged' });
      expect(String(error)).not.toContain(OTHER_KEY);
    });

    test('between preflight and the first edit does not become the original', async () => {
      await writeFile(file, original.replace('key1', 'key2'));
      await expect(arrange('target-reads')).rejects.toMatchObject({ code: 'EncryptionConfigurationChanged' });
      expect(await readdir(folder)).toEqual(['config.yaml']);
      await writeFile(file, original);
      await arrange('target-reads');
      expect(await readFile(kept(), 'utf8')).toBe(original);
    });
  });

  test('is told by a hash of its own on every node, and one node is not given the hash of another', async () => {
    const other = join(folder, 'cp-2.yaml');
    await writeFile(other, textOf('cp-2'));
    const there = { file: other, checkedHash: hashOf(textOf('cp-2')) };
    const [first, second] = [await arrange('target-reads'), await arrange('target-reads', there)];
    expect(first.hash).toBe(hashOf(await readFile(file)));
    expect(second.hash).toBe(hashOf(await readFile(other)));
    expect(first.hash).not.toBe(second.hash);
    await arrange('source-only', there);
    await expect(
      arrange('target-reads', { ...there, migrationId: 'm-2', checkedHash: hashOf(original) }),
    ).rejects.toMatchObject({ code: 'EncryptionConfigurationChanged' });
    expect(await readFile(other, 'utf8')).toBe(textOf('cp-2'));
  });

  test('in a folder that can not be written is found beforehand, and stays as it is', async () => {
    await arrange('target-reads');
    const before = await readFile(file, 'utf8');
    const writable = await makeReadOnly(folder);
    if (writable === undefined) {
      console.warn('not tried: nothing here makes a folder unwritable for root');
      return;
    }
    try {
      await expect(arrange('target-writes')).rejects.toMatchObject({ code: 'FileNotWritable' });
      const { troubles } = await agent.inspectNode(input('target-writes'));
      expect(troubles.map(({ message }) => message)).toContain(`${folder} can't be written`);
    } finally {
      await writable();
    }
    expect(await readFile(file, 'utf8')).toBe(before);
    expect((await readdir(folder)).sort()).toEqual(['config.yaml', kept().slice(folder.length + 1)]);
    await arrange('target-writes');
  });

  test('is whole, and alone, after a write that was cut short', async () => {
    await arrange('target-reads');
    const before = await readFile(file, 'utf8');
    const wanted = `${before}# ${'x'.repeat(8_000)}\n`;
    const script = `
      import { hashOf, replaceConfigurationFile } from ${JSON.stringify(new URL('../../src/encryption-config/index.ts', import.meta.url).href)};
      import { readFileSync } from 'node:fs';
      const [, file, text] = process.argv;
      await replaceConfigurationFile(file, text, { expectedHash: hashOf(readFileSync(file)) }).then(
        () => console.log('replaced'),
        ({ code, message }) => console.log(code, message),
      );`;
    // No file may grow beyond a few KiB, as under a quota: the write begins, and fails in its middle.
    const limited = 'ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2" "$3"';
    const answer = await run('sh', ['-c', limited, process.execPath, script, file, wanted]);
    expect(answer.stdout).toMatch(/^FileFailed .*config.yaml can't be replaced: EFBIG/);
    expect(await readFile(file, 'utf8')).toBe(before);
    expect((await readdir(folder)).sort()).toEqual(['config.yaml', kept().slice(folder.length + 1)]);
  });

  describe('on a disk of its own', () => {
    async function onSmallDisk(): Promise<void> {
      const disk = join(folder, 'disk');
      await run('mkdir', [disk]);
      undo.push(await mountSmallDisk(disk));
      file = join(disk, 'config.yaml');
      await writeFile(file, original);
    }

    mountTest('that is full stays as it is, and goes on once there is room', async () => {
      await onSmallDisk();
      const disk = join(folder, 'disk');
      // Full from the start: not even the original can be kept.
      await fill(disk);
      const full = { code: 'FileSystemFull', retryable: true, remedy: expect.stringContaining('Free some') };
      await expect(arrange('target-reads')).rejects.toMatchObject(full);
      expect(await readFile(file, 'utf8')).toBe(original);
      expect(await notFiller(disk)).toEqual(['config.yaml']);

      await rmFiller(disk);
      await arrange('target-reads');
      const before = await readFile(file, 'utf8');
      // Full in mid-migration.
      await fill(disk);
      await expect(arrange('target-writes')).rejects.toMatchObject(full);
      expect(await readFile(file, 'utf8')).toBe(before);
      expect(await notFiller(disk)).toEqual(['config.yaml', kept().slice(disk.length + 1)]);

      await rmFiller(disk);
      await arrange('target-writes');
      expect(await readFile(file, 'utf8')).toMatch(/kms[^]*aescbc/);
    });
  });

  mountTest('that is itself a mount is found beforehand, and stays as it is', async () => {
    await chmod(file, 0o600);
    undo.push(await mountFile(file));
    const { troubles } = await agent.inspectNode(input('target-reads'));
    expect(troubles).toEqual([
      {
        message: `${file} is itself a mount`,
        remedy: expect.stringContaining('mount its folder instead'),
      },
    ]);
    await expect(arrange('target-reads')).rejects.toMatchObject({ code: 'FileIsMountPoint' });
    expect(await readFile(file, 'utf8')).toBe(original);
  });
});

async function notFiller(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => !name.startsWith('filler-')).sort();
}

async function rmFiller(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith('filler-')) await rm(join(folder, name));
  }
}
