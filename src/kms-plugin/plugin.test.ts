import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { parsePluginConfiguration } from './config.ts';
import { startPlugin } from './plugin.ts';
import { RotationClient } from './rotation-client.ts';

const silent = pino({ level: 'silent' });
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  writeFileSync(join(folder, 'key'), Buffer.alloc(32, 7), { mode: 0o400 });
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const configuration = () =>
  parsePluginConfiguration(
    JSON.stringify({
      apiVersion: 'keyferry.dev/v1alpha1',
      kind: 'PluginConfiguration',
      keys: ['free', 'led'].map((name) => ({
        name,
        socket: join(folder, `${name}.sock`),
        local: { service: name, keyFile: join(folder, 'key') },
        ...(name === 'led' ? { rotation: { ledger: join(folder, 'ledger.json') } } : {}),
      })),
    }),
  );

describe('a plugin whose configuration has a ledger', () => {
  it('lets that key be led, and no other', async () => {
    const plugin = await startPlugin(configuration(), silent);
    const [free, led] = ['free', 'led'].map((name) => new RotationClient(`unix://${folder}/${name}.sock`));
    try {
      const versions = await led?.versions();
      expect(versions?.announcedKeyId).toMatch(/^local:led\//);
      expect(readFileSync(join(folder, 'ledger.json'), 'utf8')).toContain(versions?.announcedKeyId);
      await expect(free?.versions()).rejects.toThrow(expect.objectContaining({ code: 'PluginNotLed' }));
    } finally {
      for (const client of [free, led]) client?.close();
      await plugin.stop();
    }
  });

  it('does not start with one that is broken, and leaves nothing listening', async () => {
    writeFileSync(join(folder, 'ledger.json'), '{"announced"');
    await expect(startPlugin(configuration(), silent)).rejects.toThrow(
      expect.objectContaining({ code: 'RefusedLedger' }),
    );
    expect(readFileSync(join(folder, 'ledger.json'), 'utf8')).toBe('{"announced"');
    expect(existsSync(join(folder, 'free.sock'))).toBe(false);
    expect(existsSync(join(folder, 'led.sock'))).toBe(false);
  });
});
