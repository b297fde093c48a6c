// How long a plugin is away that is killed while it seals: npm run bench:restart [-- KILLS]
//
// The plugin of the build, as users run it, over a local key and over Vault. Clients keep it sealing; it is killed (SIGKILL) at
// some moment, and started again at once. The time is that from the kill to the first Encrypt that is answered at the same
// socket, each try over a connection of its own: clients have pauses of their own between two tries. Beside it, until when the
// socket took connections again; the rest is the key service's. Goes to bench/results/restart.json.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { accepts } from '../lab/ports.ts';
import { vaultUrl } from '../lab/vault.ts';
import { KmsPluginClient } from '../src/kms-plugin/client.ts';
import { VaultAlone } from '../test/support/vault-alone.ts';

const SEALING = 8;
const PATIENCE_MS = 60_000;
/** How far the time between two kills is spread, so that they meet the plugin at different moments. */
const SPREAD_MS = 500;

interface Kill {
  /** From the kill until the socket took a connection again, in ms. */
  readonly listeningMs: number;
  /** From the kill until an Encrypt was answered, in ms. */
  readonly sealingMs: number;
  /** Seals that were answered before, since the last kill. */
  readonly sealed: number;
}

interface Result {
  readonly keyService: string;
  readonly kills: readonly Kill[];
}

async function measure(keyService: string, key: object, kills: number): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'kf-'));
  const socket = join(folder, 'p.sock');
  const file = join(folder, 'plugin.yaml');
  writeFileSync(
    file,
    stringify({
      apiVersion: 'keyferry.dev/v1alpha1',
      kind: 'PluginConfiguration',
      keys: [{ name: 'key', socket, ...key }],
    }),
  );
  let plugin = start(file);
  const results: Kill[] = [];
  try {
    await untilSeals(socket, plugin);
    for (let i = 0; i < kills; i++) {
      const load = keepSealing(socket);
      await sleep(SPREAD_MS + (i * SPREAD_MS) / kills);
      const gone = once(plugin, 'exit');
      const killed = performance.now();
      plugin.kill('SIGKILL');
      await gone;
      plugin = start(file);
      const since = () => Math.round(performance.now() - killed);
      while (!(await accepts(socket))) await sleep(2);
      const listeningMs = since();
      await untilSeals(socket, plugin);
      const sealingMs = since();
      results.push({ listeningMs, sealingMs, sealed: await load.stop() });
    }
  } finally {
    plugin.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
  return { keyService, kills: results };
}

function start(file: string): ChildProcess {
  const main = fileURLToPath(new URL('../bin/keyferry.js', import.meta.url));
  return spawn(process.execPath, [main, 'plugin', '--config', file], { stdio: 'ignore' });
}

async function untilSeals(socket: string, plugin: ChildProcess): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const client = new KmsPluginClient(`unix://${socket}`);
    try {
      await client.encrypt(randomBytes(32), 'bench');
      return;
    } catch (error) {
      if (performance.now() > deadline || plugin.exitCode !== null) throw error;
      await sleep(2);
    } finally {
      client.close();
    }
  }
}

/** Seals without a pause, from several sides, and goes on over the death of the plugin. */
function keepSealing(socket: string): { stop(): Promise<number> } {
  const client = new KmsPluginClient(`unix://${socket}`);
  let stopping = false;
  let sealed = 0;
  const lanes = Array.from({ length: SEALING }, async () => {
    while (!stopping) {
      try {
        await client.encrypt(randomBytes(32), 'bench');
        sealed += 1;
      } catch {
        await sleep(20);
      }
    }
  });
  return {
    stop: async () => {
      stopping = true;
      await Promise.all(lanes);
      client.close();
      return sealed;
    },
  };
}

function rowOf({ keyService, kills }: Result): string {
  const of = (what: (kill: Kill) => number) => {
    const sorted = kills.map(what).sort((a, b) => a - b);
    return [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)].join(' · ');
  };
  return `| ${keyService} | ${kills.length} | ${of((kill) => kill.listeningMs)} | ${of((kill) => kill.sealingMs)} |`;
}

const [kills = 10] = process.argv.slice(2).map(Number);
const keyFolder = mkdtempSync(join(tmpdir(), 'kf-'));
const keyFile = join(keyFolder, 'key');
writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });
const results: Result[] = [];
const vault = await VaultAlone.up();
try {
  results.push(await measure('local', { local: { service: 'bench', keyFile } }, kills));
  await vault.newKey();
  const vaultTransit = {
    service: 'bench',
    address: vaultUrl(vault.config),
    mount: 'transit',
    key: vault.key,
    auth: { tokenFile: await vault.tokenFile() },
  };
  results.push(await measure('Vault', { vaultTransit }, kills));
} finally {
  await vault.down();
  rmSync(keyFolder, { recursive: true });
}
const output = new URL('results/restart.json', import.meta.url);
mkdirSync(new URL('.', output), { recursive: true });
const machine = { cores: availableParallelism(), node: process.version };
writeFileSync(
  output,
  `${JSON.stringify({ at: new Date().toISOString(), machine, results }, undefined, 1)}\n`,
);
console.log(
  [
    '| key service | kills | listening again, ms (least · median · most) | sealing again, ms |',
    '|---|---|---|---|',
    ...results.map(rowOf),
  ].join('\n'),
);
