import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { a, b, LedBench } from './led-plugin.test-helper.ts';
import { Ledger } from './ledger.ts';

const seed = randomBytes(32);

let bench: LedBench;

beforeEach(() => {
  bench = new LedBench();
});

afterEach(async () => {
  jest.restoreAllMocks();
  await bench.close();
});

describe('a ledger', () => {
  it('is of its owner alone, in whole, and alone in its folder', async () => {
    const led = await bench.led();
    await bench.rotate(led);
    const ledger = bench.ledgerOf('node-1');
    expect(JSON.parse(readFileSync(ledger, 'utf8'))).toEqual({
      announced: { keyId: b, description: 'version 2 of a key in memory' },
      left: [a],
    });
    expect(statSync(ledger).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(bench.folder, 'node-1'))).toEqual(['ledger.json']);
  });

  it('keeps of each version that was left the highest generation only', async () => {
    const { client, lead } = await bench.led();
    await client.status();
    bench.keys.rotate();
    for (let i = 0; i < 3; i++) {
      for (const keyId of [a, b]) {
        const { announceableKeyId = '' } = await lead.versions(keyId);
        await lead.announce(announceableKeyId);
      }
    }
    const { announced, left } = (await Ledger.open(bench.ledgerOf('node-1'))).entry;
    expect([announced?.keyId, left]).toEqual([
      `${b};generation=3`,
      [`${b};generation=2`, `${a};generation=3`],
    ]);
  });

  it.each([
    ['is cut off', '{"announced": {"keyId": "a'],
    ['is empty', ''],
    ['holds something else', '{"announced": {"keyId": "a", "description": ""}, "left": [], "more": 1}'],
    ['announces nothing', '{"left": []}'],
    ['announces what it left', '{"announced": {"keyId": "a", "description": ""}, "left": ["a"]}'],
    ['has an empty key id', '{"announced": {"keyId": "", "description": ""}, "left": []}'],
  ])('that %s is refused, and left as it is', async (_, text) => {
    const path = bench.ledgerOf('node-1');
    writeFileSync(path, text);
    await expect(Ledger.open(path)).rejects.toThrow(
      expect.objectContaining({ code: 'RefusedLedger', remedy: expect.stringContaining('another node') }),
    );
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('is refused where it can not be: in a folder that is not there, or in the place of one', async () => {
    for (const path of [join(bench.folder, 'none', 'ledger.json'), bench.folder]) {
      await expect(Ledger.open(path)).rejects.toThrow(expect.objectContaining({ code: 'RefusedLedger' }));
    }
  });

  it.each([
    ['under a local KEK', {}],
    ['by the key service itself', { localKek: undefined }],
  ])('has every version before anybody is told of it, sealing %s', async (_, options) => {
    const { client, lead, server } = await bench.led('node-1', options);
    await client.status();
    bench.keys.rotate();
    const ledger = bench.ledgerOf('node-1');
    const before = readFileSync(ledger, 'utf8');
    // Something that isn't a file stands where the new ledger is written first.
    const inTheWay = join(bench.folder, 'node-1', '.ledger.json.keyferry-new');
    mkdirSync(join(inTheWay, 'x'), { recursive: true });
    await expect(lead.announce(b)).rejects.toThrow(
      expect.objectContaining({ code: 'UnavailablePlugin', message: expect.stringContaining('ledger') }),
    );
    expect(readFileSync(ledger, 'utf8')).toBe(before);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: a });
    rmSync(inTheWay, { recursive: true });
    expect(await lead.announce(b)).toBe(b);
    await server.stop();
  });

  it('is on the disk before anybody is told', async () => {
    const { client, lead } = await bench.led();
    await client.status();
    bench.keys.rotate();
    const before = readFileSync(bench.ledgerOf('node-1'), 'utf8');
    const file = await open(bench.ledgerOf('node-1'));
    const sync = jest.spyOn(Object.getPrototypeOf(file) as typeof file, 'sync');
    await file.close();
    sync.mockRejectedValueOnce(Object.assign(new Error('EIO'), { code: 'EIO' }));
    await expect(lead.announce(b)).rejects.toThrow("can't be written (EIO)");
    expect(readFileSync(bench.ledgerOf('node-1'), 'utf8')).toBe(before);
    expect((await client.encrypt(seed, 'u')).keyId).toBe(a);
    sync.mockClear();
    expect(await lead.announce(b)).toBe(b);
    // The file, and the folder that names it.
    expect(sync).toHaveBeenCalledTimes(2);
  });
});
