import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MockPlugin, wellBehaved } from '../../kms-plugin/mock-plugin.test-helper.ts';
import { pluginCommand } from './plugin.ts';

let directory: string;
let socket: string;
let printed: string;
const plugins: MockPlugin[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kf-check-'));
  socket = join(directory, 'p.sock');
  printed = '';
  process.exitCode = 0;
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text.toString();
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
  process.exitCode = 0;
  for (const plugin of plugins.splice(0)) plugin.stop();
  rmSync(directory, { recursive: true });
});

/** Starts a plugin whose Status says this of its health. */
async function start(healthz = 'ok'): Promise<void> {
  const status = () => ({ version: 'v2', healthz, keyId: 'mock/key/1' });
  plugins.push(await MockPlugin.start(socket, { ...wellBehaved(), status }));
}

const check = async (...args: string[]): Promise<unknown> => {
  await pluginCommand().parseAsync(['check', `unix://${socket}`, ...args], { from: 'user' });
  return process.exitCode;
};

function configuration(...entries: [name: string, path: string][]): string {
  const file = join(directory, 'config.yaml');
  const providers = entries.map(
    ([name, path]) => `  - kms: {apiVersion: v2, name: ${name}, endpoint: "unix://${path}", timeout: 2s}\n`,
  );
  writeFileSync(
    file,
    `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n${providers.join('')}`,
  );
  return file;
}

describe('plugin check', () => {
  it('leaves with 0 for a plugin that is fit, and says so', async () => {
    await start();
    expect(await check()).toBe(0);
    expect(printed).toContain('pass  round trip');
    expect(printed).toMatch(/p\.sock: fit\n$/);
  });

  it('leaves with 1 for one that is not, and says what to do', async () => {
    await start('the key is disabled');
    expect(await check()).toBe(1);
    expect(printed).toContain(
      'fail  health\n      Status is not ok: the key is disabled, while Encrypt works\n',
    );
    expect(printed).toContain('what to do: mend what it says');
    expect(printed).toMatch(/p\.sock: not fit\n$/);
  });

  it('answers as one JSON document', async () => {
    await start();
    expect(await check('--json', '--for', '30ms', '--every', '10ms')).toBe(0);
    const answer = JSON.parse(printed) as { checks: { name: string }[] };
    expect(answer).toMatchObject({ passed: true, keyId: 'mock/key/1', endpoint: `unix://${socket}` });
    expect(answer.checks.map(({ name }) => name)).toContain('key id steady');
  });

  it('looks at the entries of an EncryptionConfiguration, and waits as long as the own one says', async () => {
    await start();
    expect(await check('--encryption-config', configuration(['a', socket], ['b', '/run/b.sock']))).toBe(0);
    expect(printed).toContain('of the 2000 ms that an API server waits');
    expect(printed).toMatch(/pass {2}entry of the plugin +kms "a"/);
  });

  it.each<[string, [string, string][], string]>([
    [
      'a socket',
      [
        ['a', 'SOCKET'],
        ['b', 'SOCKET'],
      ],
      '"a" and "b" share a socket',
    ],
    [
      'a name',
      [
        ['a', 'SOCKET'],
        ['a', '/run/b.sock'],
      ],
      'line 7',
    ],
  ])('fails where two entries share %s', async (_, entries, told) => {
    await start();
    const file = configuration(
      ...entries.map(([name, path]) => [name, path.replace('SOCKET', socket)] as [string, string]),
    );
    expect(await check('--encryption-config', file)).toBe(1);
    expect(printed).toContain(`fail  entries apart\n      ${told}`);
  });

  it('warns where no entry has the endpoint', async () => {
    await start();
    expect(await check('--encryption-config', configuration(['b', '/run/b.sock']))).toBe(0);
    expect(printed).toContain('warn  entry of the plugin');
  });
});

describe('plugin', () => {
  it('without a configuration is refused as a wrong argument', async () => {
    await expect(pluginCommand().parseAsync([], { from: 'user' })).rejects.toThrow(
      expect.objectContaining({ code: 'UsagePluginConfiguration' }),
    );
  });
});
