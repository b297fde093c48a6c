import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { keyferryMain } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { KmsPluginClient, type PluginCiphertext } from '../../src/kms-plugin/client.ts';

let folder: string;
let socket: string;
let port: number;
let client: KmsPluginClient;
let plugin: ChildProcess;
let log: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  socket = join(folder, 'p.sock');
  port = await freePort();
  writeFileSync(join(folder, 'key'), randomBytes(32), { mode: 0o600 });
  writeFileSync(
    join(folder, 'plugin.yaml'),
    `apiVersion: keyferry.dev/v1alpha1
kind: PluginConfiguration
metrics: { address: "127.0.0.1:${port}" }
keys:
  - name: edge
    socket: ${socket}
    local: { service: edge, keyFile: ${join(folder, 'key')} }
`,
  );
  client = new KmsPluginClient(`unix://${socket}`);
  log = '';
  start();
  await answering();
}, 60_000);

afterEach(async () => {
  client.close();
  await end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function start(): void {
  const { NODE_OPTIONS: _, ...env } = process.env;
  plugin = spawn(process.execPath, [keyferryMain(), 'plugin', '--config', join(folder, 'plugin.yaml')], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env,
  });
  plugin.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
}

async function end(signal: NodeJS.Signals): Promise<number | null> {
  if (plugin.exitCode !== null || plugin.signalCode !== null) return plugin.exitCode;
  const ended = new Promise<number | null>((resolve) => plugin.once('close', resolve));
  plugin.kill(signal);
  return await ended;
}

async function answering(): Promise<void> {
  const deadline = AbortSignal.timeout(60_000);
  while ((await client.status().catch(() => undefined))?.healthz !== 'ok') {
    if (deadline.aborted || plugin.exitCode !== null) throw new Error(`the plugin does not answer:\n${log}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('the process keyferry plugin', () => {
  it('killed while sealing comes back at the same socket, and opens all that it answered', async () => {
    const seeds = Array.from({ length: 2_000 }, () => randomBytes(32));
    const answered: { readonly seed: Buffer; readonly sealed: PluginCiphertext }[] = [];
    const sealing = seeds.map(async (seed) => {
      answered.push({ seed, sealed: await client.encrypt(seed, 'u') });
      if (answered.length === 100) plugin.kill('SIGKILL');
    });
    const outcomes = await Promise.allSettled(sealing);
    expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true);
    await end('SIGKILL');
    // Nobody takes the socket away of a process that is killed.
    expect(existsSync(socket)).toBe(true);

    start();
    await answering();
    for (const { seed, sealed } of answered) expect(await client.decrypt(sealed, 'u')).toEqual(seed);
    expect(readdirSync(folder).sort()).toEqual(['key', 'p.sock', 'plugin.yaml']);
  }, 120_000);

  it('told to stop lets go of its socket and port, and ends well', async () => {
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect(await (await get('/readyz')).text()).toBe('[+]edge ok\n');
    expect(await (await get('/healthz')).text()).toBe('[+]edge ok\n');
    expect(await (await get('/metrics')).text()).toContain('keyferry_plugin_healthy{key="edge"} 1');
    expect(await end('SIGTERM')).toBe(0);
    expect(existsSync(socket)).toBe(false);
    await expect(get('/livez')).rejects.toThrow();
    expect(log).toContain('"stopped"');
  }, 120_000);
});
