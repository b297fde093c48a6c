import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { KmsPluginClient } from './client.ts';
import { probePlugin } from './probe.ts';
import { KmsPluginServer } from './server.ts';

let folder: string;
let socket: string;
let keys: InMemoryTestDoubleKeyService;
let lines: string[];
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  socket = join(folder, 'p.sock');
  keys = new InMemoryTestDoubleKeyService();
  lines = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

async function start(at = socket): Promise<KmsPluginServer> {
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  const server = await KmsPluginServer.start(at, keys, pino({ level: 'debug' }, sink));
  cleanups.push(() => server.stop());
  return server;
}

function connect(options: { timeoutMs?: number } = {}): KmsPluginClient {
  const client = new KmsPluginClient(`unix://${socket}`, options);
  cleanups.push(() => client.close());
  return client;
}

const seed = randomBytes(32);
const refused = expect.objectContaining({ code: 'PluginRefused', retryable: false });

describe('a plugin', () => {
  it('is fit by the probe: v2, ok, one key id, the same bytes back', async () => {
    await start();
    const probe = await probePlugin(`unix://${socket}`);
    expect(probe).toMatchObject({ keyId: 'in-memory-test-double/v1', problems: [], warnings: [] });
  });

  it('encrypts under the key id that Status named, until Status names the next one', async () => {
    await start();
    const client = connect();
    const before = (await client.status()).keyId;
    const sealed = await client.encrypt(seed, 'u1');
    keys.rotate();
    expect((await client.encrypt(seed, 'u2')).keyId).toBe(before);
    const after = (await client.status()).keyId;
    expect(after).not.toBe(before);
    expect((await client.encrypt(seed, 'u3')).keyId).toBe(after);
    // What the key left behind sealed still opens.
    expect(await client.decrypt(sealed, 'u4')).toEqual(seed);
  });

  it('finishes an Encrypt under the key it began with when a new one is adopted meanwhile', async () => {
    await start();
    const client = connect();
    const before = (await client.status()).keyId;
    const release = keys.hold();
    const encrypting = client.encrypt(seed, 'u1');
    await until(() => keys.calls.encrypt === 1);
    keys.rotate();
    const adopting = client.status();
    release();
    expect((await adopting).keyId).not.toBe(before);
    const sealed = await encrypting;
    expect(sealed.keyId).toBe(before);
    expect(await client.decrypt(sealed, 'u2')).toEqual(seed);
  });

  it('encrypts without having been asked for its Status', async () => {
    await start();
    expect((await connect().encrypt(seed, 'u')).keyId).toBe('in-memory-test-double/v1');
  });

  it('refuses what is empty, too long or of another key', async () => {
    await start();
    const client = connect();
    const sealed = await client.encrypt(seed, 'u');
    const bad = [
      { ...sealed, ciphertext: Buffer.alloc(0) },
      { ...sealed, ciphertext: Buffer.alloc(1025) },
      { ...sealed, ciphertext: randomBytes(60) },
      { ...sealed, keyId: '' },
      { ...sealed, keyId: 'another/v1' },
      { ...sealed, keyId: 'x'.repeat(1025) },
    ];
    for (const request of bad) await expect(client.decrypt(request, 'u')).rejects.toThrow(refused);
    await expect(client.encrypt(Buffer.alloc(0), 'u')).rejects.toThrow(refused);
    await expect(client.encrypt(Buffer.alloc(1000), 'u')).rejects.toThrow(refused);
    await expect(client.encrypt(Buffer.alloc(10_000), 'u')).rejects.toThrow(refused);
  });

  it('writes the uid of each request into its log, and nothing of its content', async () => {
    await start();
    const client = connect();
    const plaintext = Buffer.from('a very secret seed of 32 bytes..');
    const sealed = await client.encrypt(plaintext, 'uid-of-encrypt');
    await client.decrypt(sealed, 'uid-of-decrypt');
    await client.decrypt({ ...sealed, keyId: 'other' }, 'uid-of-refusal').catch(() => undefined);
    const log = lines.join('');
    for (const uid of ['uid-of-encrypt', 'uid-of-decrypt', 'uid-of-refusal']) expect(log).toContain(uid);
    for (const form of ['utf8', 'base64', 'hex'] as const)
      expect(log).not.toContain(plaintext.toString(form));
    expect(log).not.toContain(sealed.ciphertext.toString('base64'));
  });
});

describe('a plugin whose key service fails', () => {
  it('starts, says why in Status, and asks again soon but not at every Status', async () => {
    keys.failWith('unavailable', 'Vault is sealed');
    await start();
    const client = connect();
    for (let i = 0; i < 5; i++) {
      expect(await client.status()).toEqual({
        version: 'v2',
        healthz: 'Vault is sealed (end the test)',
        keyId: '',
      });
    }
    expect(keys.calls.current).toBe(1);
    expect((await probePlugin(`unix://${socket}`)).problems[0]).toContain('Vault is sealed');
  });

  it('keeps naming the key id it adopted', async () => {
    await start();
    const client = connect();
    const { keyId } = await client.status();
    keys.failWith('unavailable');
    expect(await client.status()).toMatchObject({
      keyId,
      healthz: expect.stringContaining('the test made it fail'),
    });
  });

  it.each([
    ['unavailable', 'UnavailablePlugin', true],
    ['timeout', 'TimeoutPlugin', true],
    ['denied', 'PluginRefused', false],
    ['not-found', 'PluginRefused', false],
    ['wrong-key', 'PluginFailed', true],
  ] as const)('passes %s on to the caller of Encrypt as %s', async (kind, code, retryable) => {
    await start();
    const client = connect();
    await client.status();
    keys.failWith(kind);
    await expect(client.encrypt(seed, 'u')).rejects.toThrow(expect.objectContaining({ code, retryable }));
  });

  it('answers before the deadline of the caller, with a reason', async () => {
    await start();
    cleanups.push(keys.hold());
    const client = connect({ timeoutMs: 500 });
    expect(await client.status()).toMatchObject({
      healthz: expect.stringContaining('did not answer within'),
    });
    await expect(client.decrypt({ ciphertext: seed, keyId: 'k', annotations: {} }, 'u')).rejects.toThrow(
      expect.objectContaining({ code: 'TimeoutPlugin' }),
    );
  });
});

describe('the socket', () => {
  it('can be opened by its owner only, and nothing else is left in its folder', async () => {
    await start();
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['p.sock']);
  });

  it('is taken away at the end, after the calls under way have been answered', async () => {
    const server = await start();
    const client = connect();
    await client.status();
    const release = keys.hold();
    const encrypting = client.encrypt(seed, 'u');
    await until(() => keys.calls.encrypt === 1);
    const stopped = server.stop();
    await until(() => !existsSync(socket));
    release();
    expect((await encrypting).keyId).toBe('in-memory-test-double/v1');
    await stopped;
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is refused while another plugin listens there, which goes on serving', async () => {
    await start();
    await expect(start()).rejects.toThrow(expect.objectContaining({ code: 'RefusedSocketInUse' }));
    expect((await probePlugin(`unix://${socket}`)).problems).toEqual([]);
    expect(readdirSync(folder)).toEqual(['p.sock']);
  });

  it('goes to one of two plugins that start at once', async () => {
    const outcomes = await Promise.allSettled([start(), start(), start()]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await probePlugin(`unix://${socket}`)).problems).toEqual([]);
  });

  it('left behind by a dead process is taken over', async () => {
    await leaveDeadSocket(socket);
    await start();
    expect((await probePlugin(`unix://${socket}`)).problems).toEqual([]);
  });

  it.each([
    ['a file', () => writeFileSync(socket, 'precious')],
    ['a link', () => symlinkSync('/nowhere', socket)],
  ])('is not put in the place of %s', async (_, make) => {
    make();
    await expect(start()).rejects.toThrow(expect.objectContaining({ code: 'RefusedSocketPath' }));
    expect(readdirSync(folder)).toEqual(['p.sock']);
  });

  it('needs its folder to be there', async () => {
    await expect(start(join(folder, 'none', 'p.sock'))).rejects.toThrow(
      expect.objectContaining({ code: 'RefusedSocketPath', remedy: expect.stringContaining('none') }),
    );
  });
});

describe('a client', () => {
  it('says that there is no socket, and meets a plugin that comes later within two seconds', async () => {
    const client = connect();
    await expect(client.status()).rejects.toThrow(
      expect.objectContaining({ code: 'UnavailablePluginSocket' }),
    );
    await start();
    const began = Date.now();
    await until(async () => (await client.status().catch(() => undefined)) !== undefined, 5_000);
    expect(Date.now() - began).toBeLessThan(2_000);
  });

  it('says that nobody listens', async () => {
    await leaveDeadSocket(socket);
    await expect(connect().status()).rejects.toThrow(
      expect.objectContaining({ code: 'UnavailablePlugin', retryable: true }),
    );
  });

  it('does not wait longer than its deadline for somebody who never answers', async () => {
    const connections: Socket[] = [];
    const mute = createServer((connection) => connections.push(connection)).listen(socket);
    cleanups.push(() => {
      for (const connection of connections) connection.destroy();
      mute.close();
    });
    await expect(connect({ timeoutMs: 300 }).status()).rejects.toThrow(
      expect.objectContaining({
        code: 'TimeoutPlugin',
        message: expect.stringContaining('it did not answer'),
      }),
    );
  });

  it.each([
    'unix://relative',
    '/a/path',
    'tcp://localhost:1',
    'unix:///@abstract',
    `unix:///${'a'.repeat(108)}`,
  ])('refuses the endpoint %s', (endpoint) => {
    expect(() => new KmsPluginClient(endpoint)).toThrow(
      expect.objectContaining({ code: 'PluginEndpointInvalid' }),
    );
  });
});

async function until(condition: () => boolean | Promise<boolean>, withinMs = 2_000): Promise<void> {
  for (const end = Date.now() + withinMs; !(await condition());) {
    if (Date.now() > end) throw new Error('it did not come about in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A socket file that nobody listens at: closing unlinks the path it was bound at, so it is renamed before. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.live`, resolve));
  renameSync(`${path}.live`, path);
  await new Promise((resolve) => server.close(resolve));
}
