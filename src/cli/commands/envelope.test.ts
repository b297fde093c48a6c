import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { pino } from 'pino';
import { escrowTo } from '../../keys/escrow.ts';
import { InMemoryTestDoubleKeyService } from '../../keys/in-memory.test-helper.ts';
import { KmsPluginServer } from '../../kms-plugin/server.ts';
import { runCli, type CliAnswer } from '../../../test/support/cli.ts';

// Each command is a process of its own.
jest.setTimeout(180_000);

const at = '/registry/secrets/default/a';
const secret = (byte: number, size = 32) => Buffer.alloc(size, byte).toString('base64');
const base64 = (text: string) => Buffer.from(text).toString('base64');
const line = (key: string, value: string) => `${JSON.stringify({ key, value })}\n`;

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  file = join(folder, 'config.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Writes a configuration of Secrets with these providers. */
function configure(...providers: string[]): void {
  writeFileSync(
    file,
    `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
${providers.map((provider) => `  - ${provider}\n`).join('')}`,
  );
}

const aesgcm = `aesgcm: {keys: [{name: "a:b", secret: ${secret(1)}}, {name: a, secret: ${secret(2)}}]}`;
const identity = 'identity: {}';

const envelope = async (verb: string, input: string, ...more: string[]): Promise<CliAnswer> =>
  await runCli(['envelope', verb, '--encryption-config', file, '--resource', 'secrets', ...more], { input });

/** The JSON lines of an answer. */
const said = ({ stdout }: CliAnswer): Record<string, unknown>[] =>
  stdout
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => JSON.parse(text) as Record<string, unknown>);

describe('keyferry envelope', () => {
  it('opens what it sealed, and says what is stale', async () => {
    configure(aesgcm, identity);
    const sealed = await envelope('seal', line(at, base64('object')) + line('/registry/größe', ''));
    expect(sealed).toMatchObject({ code: 0, stderr: '' });
    const plain = line('/registry/plain', base64('k8s\0 plain'));
    const opened = await envelope('open', sealed.stdout + plain);
    expect(opened).toMatchObject({ code: 0, stderr: '' });
    expect(said(opened)).toEqual([
      { key: at, value: base64('object') },
      { key: '/registry/größe', value: '' },
      { key: '/registry/plain', value: base64('k8s\0 plain'), stale: true },
    ]);
  });

  it('answers each line that it cannot open with an error, goes on, and leaves with 1', async () => {
    configure(aesgcm, 'kms: {apiVersion: v2, name: vault, endpoint: "unix:///nowhere/plugin.sock"}');
    const [sealed = {}] = said(await envelope('seal', line(at, base64('object'))));
    // Keys 1 to 5, sealed under an encrypted seed.
    const kms = Buffer.concat([
      Buffer.from('k8s:enc:kms:v2:vault:'),
      Buffer.from('0a30', 'hex'),
      Buffer.alloc(48),
      Buffer.from('12016b1a01732801', 'hex'),
    ]).toString('base64');
    const answer = await envelope(
      'open',
      `nothing\n\n${line('/elsewhere', String(sealed['value']))}${line(at, 'k8s')}` +
        line('/kms', kms) +
        line('/old', base64('k8s:enc:aescbc:v1:old:…')) +
        line(at, String(sealed['value'])),
    );
    expect(answer.code).toBe(1);
    expect(said(answer)).toEqual([
      { key: null, error: "line 1 can't be used: it is not JSON" },
      {
        key: '/elsewhere',
        error: expect.stringContaining('does not open with this key under this etcd key'),
      },
      { key: at, error: expect.stringContaining("line 4 can't be used: its value is not base64") },
      { key: '/kms', error: expect.stringMatching(/no socket at \/nowhere\/plugin.sock.*what to do: start/) },
      {
        key: '/old',
        error: expect.stringContaining('no provider of the configuration reads k8s:enc:aescbc:v1:'),
      },
      { key: at, value: base64('object') },
    ]);
  });

  it('refuses before it reads: a configuration that is not valid, one that is not there, kms v1 as the writer', async () => {
    configure(`aesgcm: {keys: [{name: a, secret: c2hvcnQ=}]}`);
    const invalid = await envelope('open', line(at, ''));
    expect(invalid).toMatchObject({ code: 65, stdout: '' });
    expect(invalid.stderr).toMatch(/5 bytes long.*\n.*what to do/);
    file = join(folder, 'missing.yaml');
    expect(await envelope('open', line(at, ''))).toMatchObject({ code: 69, stdout: '' });
    configure('kms: {apiVersion: v1, name: old, endpoint: "unix:///nowhere/plugin.sock"}', identity);
    const refused = await envelope('seal', line(at, ''));
    expect(refused).toMatchObject({ code: 77, stdout: '' });
    expect(refused.stderr).toMatch(/kms v1 \("old"\)[^]*what to do: put a kms entry with apiVersion: v2/);
    configure('kms: {apiVersion: v2, name: vault, endpoint: "unix:///nowhere/plugin.sock"}');
    expect(await envelope('seal', line(at, ''))).toMatchObject({
      code: 69,
      stdout: '',
      stderr: expect.stringContaining('no socket at /nowhere/plugin.sock'),
    });
    expect((await runCli(['envelope', 'open'])).code).toBe(64);
  });
});

describe('keyferry envelope with a kms plugin', () => {
  const keys = new InMemoryTestDoubleKeyService();
  let plugins: string;
  let server: KmsPluginServer;

  beforeAll(async () => {
    plugins = mkdtempSync(join(tmpdir(), 'kf-'));
    server = await KmsPluginServer.start(join(plugins, 'p.sock'), keys, pino({ level: 'silent' }));
  });
  afterAll(async () => {
    await server.stop();
    rmSync(plugins, { recursive: true });
  });

  it('makes one seed for all objects, and has it decrypted once', async () => {
    configure(`kms: {apiVersion: v2, name: vault, endpoint: "unix://${plugins}/p.sock"}`, identity);
    const objects = Array.from({ length: 50 }, (_, i) =>
      line(`/registry/secrets/default/${i}`, base64(`${i}`)),
    );
    const sealed = await envelope('seal', objects.join(''));
    expect(sealed.code).toBe(0);
    expect(keys.calls.encrypt).toBe(1);
    const opened = await envelope('open', sealed.stdout);
    expect(opened).toMatchObject({ code: 0, stdout: objects.join('') });
    expect(keys.calls.decrypt).toBe(1);
    keys.rotate();
    const [stale] = said(await envelope('open', sealed.stdout));
    expect(stale).toEqual({ key: '/registry/secrets/default/0', value: base64('0'), stale: true });
  });
});

describe('keyferry envelope open --escrow-identity', () => {
  it('opens what a plugin sealed whose key service, and the plugin itself, are lost for good', async () => {
    const [identityOfOne, identityOfNobody] = [
      await generateX25519Identity(),
      await generateX25519Identity(),
    ];
    const server = await KmsPluginServer.start(
      join(folder, 'p.sock'),
      new InMemoryTestDoubleKeyService(),
      pino({ level: 'silent' }),
      {
        localKek: { maxAgeMs: 60_000, maxUses: 1_000 },
        escrow: escrowTo([await identityToRecipient(identityOfOne)]),
      },
    );
    configure(`kms: {apiVersion: v2, name: vault, endpoint: "unix://${folder}/p.sock"}`);
    const sealed = await envelope('seal', line(at, base64('object')) + line('/other', base64('other')));
    await server.stop();

    const file = join(folder, 'identity.txt');
    writeFileSync(file, `# an age identity\n${identityOfOne}\n`);
    const opened = await envelope('open', sealed.stdout, '--escrow-identity', file);
    expect(opened).toMatchObject({ code: 0, stderr: '' });
    expect(said(opened)).toEqual([
      { key: at, value: base64('object'), stale: true },
      { key: '/other', value: base64('other'), stale: true },
    ]);

    writeFileSync(file, `${identityOfNobody}\n`);
    const refused = await envelope('open', sealed.stdout, '--escrow-identity', file);
    expect(refused.code).toBe(1);
    expect(said(refused)[0]?.['error']).toMatch(/no identity opens the escrow sealed to age1/);
    expect((await envelope('open', '', '--escrow-identity', join(folder, 'none'))).code).toBe(69);
    writeFileSync(file, 'not an identity');
    const invalid = await envelope('open', '', '--escrow-identity', file);
    expect(invalid).toMatchObject({
      code: 65,
      stdout: '',
      stderr: expect.stringContaining('AGE-SECRET-KEY'),
    });
  }, 180_000);
});
