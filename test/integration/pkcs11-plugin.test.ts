import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { keyferryMain } from '../../lab/paths.ts';
import { waitFor } from '../../lab/wait.ts';
import { KmsPluginClient } from '../../src/kms-plugin/client.ts';
import { runCli } from '../support/cli.ts';
import { SoftHsmAlone } from '../support/soft-hsm-alone.ts';

const seed = Buffer.from('a seed that nobody may ever see.');
let hsm: SoftHsmAlone;
let plugin: ChildProcess;
let log: string;

beforeEach(async () => {
  hsm = await SoftHsmAlone.up();
  hsm.fresh();
  await hsm.key({ type: 'make-aes', id: '01' });
  const configuration = join(hsm.hsm.dir, 'plugin.json');
  writeFileSync(
    configuration,
    JSON.stringify({
      apiVersion: 'keyferry.dev/v1alpha1',
      kind: 'PluginConfiguration',
      keys: [
        {
          name: 'hsm',
          socket: socketPath(),
          // Each Encrypt goes to the token.
          localKek: { enabled: false },
          pkcs11: {
            service: 'test-hsm',
            module: hsm.hsm.module,
            token: { label: hsm.token },
            pin: { env: 'TEST_HSM_PIN' },
            key: { label: hsm.label },
            mechanism: 'AES-GCM',
          },
        },
      ],
    }),
  );
  const { NODE_OPTIONS: _, ...environment } = process.env;
  log = '';
  plugin = spawn(process.execPath, [keyferryMain(), 'plugin', '--config', configuration], {
    env: { ...environment, TEST_HSM_PIN: hsm.pin },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  plugin.stdout?.setEncoding('utf8').on('data', (text: string) => (log += text));
  plugin.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
  await waitFor({ what: 'the plugin to listen', timeoutMs: 30_000 }, () =>
    Promise.resolve(existsSync(socketPath())),
  );
}, 90_000);

afterEach(async () => {
  plugin.kill('SIGKILL');
  if (plugin.exitCode === null && plugin.signalCode === null) await once(plugin, 'exit');
  hsm.down();
});

function socketPath(): string {
  return join(hsm.hsm.dir, 'p.sock');
}

/** The plugin's processes of the PKCS#11 module. */
function sessions(): number[] {
  const children = readFileSync(`/proc/${plugin.pid ?? 0}/task/${plugin.pid ?? 0}/children`, 'utf8');
  return children
    .split(' ')
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('pkcs11-child'))
    .map(Number);
}

it('a plugin over an HSM is fit, survives a crash of the module, and ends with its processes', async () => {
  const checked = await runCli(['plugin', 'check', `unix://${socketPath()}`, '--json', '--timeout', '20s']);
  expect(JSON.parse(checked.stdout)).toMatchObject({
    passed: true,
    keyId: expect.stringMatching(/^pkcs11:test-hsm\/01\/AES-GCM@kcv-[0-9a-f]{6}$/),
  });

  const client = new KmsPluginClient(`unix://${socketPath()}`, { timeoutMs: 20_000 });
  try {
    const sealed = await client.encrypt(seed, 'before');
    const before = sessions();
    expect(before.length).toBeGreaterThan(0);
    // Stopped first, so that a call is under way when it dies as a segmentation fault would have it.
    for (const pid of before) process.kill(pid, 'SIGSTOP');
    const opening = client.decrypt(sealed, 'under way');
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const pid of before) process.kill(pid, 'SIGKILL');
    expect(await opening).toEqual(seed);
    expect(await client.status()).toMatchObject({ healthz: 'ok', keyId: sealed.keyId });
    const after = sessions();
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);

    plugin.kill('SIGTERM');
    await once(plugin, 'exit');
    for (const pid of after) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(log).toContain('the process of the PKCS#11 module ended');
    expect(log).not.toContain(hsm.pin);
  } finally {
    client.close();
  }
}, 120_000);
