import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type handleUnaryCall } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { pino } from 'pino';
import { decodeKmsV2, sealKmsV2 } from '../envelope/kms-v2.ts';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { KmsPluginClient } from './client.ts';
import { PluginConnections } from './connections.ts';
import { PluginDekSources } from './dek-sources.ts';
import { DecryptResponseSchema, type DecryptRequest, type DecryptResponse } from './gen/kms-v1_pb.ts';
import { KmsPluginServer } from './server.ts';
import { kmsV1Decrypt } from './v1-client.ts';

/** No test is about a deadline: on a busy machine a shorter one would be what is told. In milliseconds. */
const patient = { timeoutMs: 30_000 };

let folder: string;
let socket: string;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  socket = join(folder, 'p.sock');
  cleanups.push(() => rmSync(folder, { recursive: true }));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  jest.restoreAllMocks();
});

describe('the DEK sources of a kms v2 entry', () => {
  let keys: InMemoryTestDoubleKeyService;
  let sources: PluginDekSources;

  beforeEach(async () => {
    keys = new InMemoryTestDoubleKeyService();
    const server = await KmsPluginServer.start(socket, keys, pino({ level: 'silent' }));
    cleanups.push(() => server.stop());
    sources = new PluginDekSources('vault', new KmsPluginClient(`unix://${socket}`, patient));
    cleanups.push(() => sources.close());
  });

  const valueOf = async () =>
    decodeKmsV2(
      sealKmsV2({
        ...(await sources.writer()),
        providerName: 'vault',
        etcdKey: '/a',
        plaintext: Buffer.from('object'),
      }),
    );

  const now = performance.now.bind(performance);
  /** What is remembered from the beginning is so much older from now on. */
  const letPass = (ms: number) => {
    jest.spyOn(performance, 'now').mockImplementation(() => now() + ms);
  };
  /** Status is asked again. */
  const letAMinutePass = () => letPass(61_000);

  it('has one seed per key id, and another once the plugin names another', async () => {
    const first = await sources.writer();
    expect((await sources.writer()).seed).toBe(first.seed);
    expect(keys.calls.encrypt).toBe(1);
    expect(await sources.keyId()).toBe(first.keyId);
    keys.rotate();
    letAMinutePass();
    const second = await sources.writer();
    expect(second.keyId).not.toBe(first.keyId);
    expect(second.seed).not.toEqual(first.seed);
    expect(await sources.keyId()).toBe(second.keyId);
    expect(keys.calls.encrypt).toBe(2);
  });

  it('makes one seed for all who wait for it', async () => {
    const [first, ...others] = await Promise.all([sources.writer(), sources.writer(), sources.writer()]);
    for (const other of others) expect(other.seed).toBe(first.seed);
    expect(keys.calls.encrypt).toBe(1);
  });

  it('writes with another seed after some hours, under the same key id', async () => {
    const first = await sources.writer();
    letPass(3_600_000);
    expect((await sources.writer()).seed).toBe(first.seed);
    letPass(6 * 3_600_000);
    const second = await sources.writer();
    expect(second.keyId).toBe(first.keyId);
    expect(second.seed).not.toEqual(first.seed);
  });

  it('decrypts a source once, however many values have it', async () => {
    const [a, b] = [await valueOf(), await valueOf()];
    const opened = await Promise.all([sources.decrypt(a), sources.decrypt(b), sources.decrypt(a)]);
    const { seed } = await sources.writer();
    for (const one of opened) expect(one).toEqual(seed);
    expect(keys.calls.decrypt).toBe(1);
  });

  it('asks again after a failure', async () => {
    const value = await valueOf();
    keys.failWith('unavailable');
    await expect(sources.decrypt(value)).rejects.toMatchObject({ code: 'UnavailablePlugin' });
    keys.failWith();
    expect(await sources.decrypt(value)).toEqual((await sources.writer()).seed);
  });

  it('keeps values apart whose key id or annotations differ', async () => {
    const value = await valueOf();
    await sources.decrypt(value);
    await expect(sources.decrypt({ ...value, keyId: 'another' })).rejects.toMatchObject({
      code: 'PluginRefused',
    });
    await sources.decrypt({ ...value, annotations: { 'a.example.com': Buffer.of(1) } });
    expect(keys.calls.decrypt).toBeGreaterThan(1);
  });

  it('has no seed to write with while the plugin is not well, and says what it says', async () => {
    keys.failWith('denied', 'the key is disabled');
    await expect(sources.writer()).rejects.toMatchObject({
      code: 'UnavailablePluginUnhealthy',
      message: expect.stringContaining('the key is disabled'),
    });
    keys.failWith();
  });
});

describe('the connections to plugins', () => {
  it('are made when a value needs them: an entry without a socket is in the way of its own values alone', async () => {
    const connections = new PluginConnections();
    cleanups.push(() => connections.close());
    const away = connections.v2({ name: 'vault', endpoint: `unix://${socket}`, ...patient });
    const abstract = connections.v1({ name: 'old', endpoint: 'unix:///@old', ...patient });
    await expect(away.keyId()).rejects.toMatchObject({ code: 'UnavailablePluginSocket' });
    await expect(abstract.decrypt(Buffer.of(1))).rejects.toMatchObject({ code: 'PluginEndpointInvalid' });
  });

  it('share the DEK sources of an entry, and forget them when they are closed', async () => {
    const keys = new InMemoryTestDoubleKeyService();
    const server = await KmsPluginServer.start(socket, keys, pino({ level: 'silent' }));
    cleanups.push(() => server.stop());
    const connections = new PluginConnections();
    cleanups.push(() => connections.close());
    const entry = { name: 'vault', endpoint: `unix://${socket}`, ...patient };
    const { seed } = await connections.v2(entry).writer();
    expect((await connections.v2(entry).writer()).seed).toBe(seed);
    const apart = await connections.v2({ ...entry, name: 'other' }).writer();
    expect(apart.seed).not.toBe(seed);
    connections.close();
    expect(seed.every((byte) => byte === 0)).toBe(true);
    expect((await connections.v2(entry).writer()).seed).not.toEqual(seed);
  });

  it('read leftovers of kms v1', async () => {
    const dek = randomBytes(32);
    const onDecrypt: handleUnaryCall<DecryptRequest, DecryptResponse> = ({ request }, answer) => {
      expect(request.version).toBe('v1beta1');
      answer(
        null,
        create(DecryptResponseSchema, { plain: request.cipher.length === 3 ? dek : Buffer.alloc(0) }),
      );
    };
    const server = new Server();
    server.addService({ decrypt: kmsV1Decrypt }, { decrypt: onDecrypt });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    cleanups.push(() => server.forceShutdown());
    const connections = new PluginConnections();
    cleanups.push(() => connections.close());
    const entry = { name: 'old', endpoint: `unix://${socket}`, ...patient };
    expect(await connections.v1(entry).decrypt(Buffer.from('dek'))).toEqual(dek);
    await expect(connections.v2(entry).keyId()).rejects.toMatchObject({ code: 'PluginNotV2' });
  });
});
