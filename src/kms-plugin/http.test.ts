import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { observed } from '../keys/observed.ts';
import { ResilientKeyService } from '../keys/resilient.ts';
import { type KmsPluginClient } from './client.ts';
import { PluginHttpServer } from './http.ts';
import { Ledger } from './ledger.ts';
import { PluginMetrics } from './metrics.ts';
import { memory, PluginBench } from './plugin.test-helper.ts';

const minute = 60_000;
const seed = randomBytes(32);
const loopback = { host: '127.0.0.1', port: 0 };

let bench: PluginBench;
let keys: InMemoryTestDoubleKeyService;
let client: KmsPluginClient;
let http: PluginHttpServer;
let metrics: PluginMetrics;

beforeEach(async () => {
  bench = new PluginBench();
  keys = new InMemoryTestDoubleKeyService();
  metrics = new PluginMetrics();
  const { answered, called } = metrics.observer('vault');
  const service = new ResilientKeyService(observed(keys, called), bench.log, { retries: 0 });
  const plugin = await bench.plugin(service, { answered });
  client = plugin.client;
  const { key } = plugin.server;
  metrics.add({ name: 'vault', key, circuit: () => service.circuit });
  http = await PluginHttpServer.start(loopback, [{ name: 'vault', key }], metrics, bench.log);
  bench.atEnd(() => http.stop());
});

afterEach(() => bench.close());

async function get(path: string, method = 'GET'): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${http.port}${path}`, { method });
  return { status: response.status, text: await response.text() };
}

/** The value of a sample, by its name and labels as Prometheus writes them. */
async function sample(name: string): Promise<number | undefined> {
  const { text } = await get('/metrics');
  const line = text.split('\n').find((one) => one.startsWith(`keyferry_plugin_${name} `));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}

describe('/livez', () => {
  it('is ok whatever the key service does', async () => {
    keys.failWith('denied');
    expect(await get('/livez')).toEqual({ status: 200, text: 'ok\n' });
  });
});

describe('/readyz', () => {
  it('is ok, then degraded in an outage, then failing after the grace, each with its reason', async () => {
    expect(await get('/readyz')).toEqual({ status: 200, text: '[+]vault ok\n' });
    keys.failWith('unavailable', 'Vault is sealed');
    bench.pass(minute);
    expect(await get('/readyz')).toEqual({
      status: 200,
      text: '[+]vault degraded: Vault is sealed (end the test); goes on without it for 3540 s\n',
    });
    bench.pass(memory.graceMs);
    expect(await get('/readyz')).toEqual({
      status: 503,
      text: '[-]vault failing: Vault is sealed (end the test)\n',
    });
    keys.failWith();
    bench.pass(minute);
    expect((await get('/readyz')).status).toBe(200);
  });

  it('is failing when the key service was never there', async () => {
    keys.failWith('not-found', 'there is no such key');
    expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('no such key') });
  });
});

describe('/healthz', () => {
  it('has the KEK unwrapped by the key service, once a minute however often it is asked', async () => {
    for (let i = 0; i < 10; i++)
      expect(await get('/healthz')).toEqual({ status: 200, text: '[+]vault ok\n' });
    const unwrapped = keys.calls.decrypt;
    bench.pass(minute);
    for (let i = 0; i < 10; i++) await get('/healthz');
    expect(keys.calls.decrypt).toBe(unwrapped + 1);
  });

  it('finds a key that no longer unwraps, before anybody needs it to', async () => {
    await get('/healthz');
    keys.decrypt = () => keys.encrypt(seed, { keyId: 'gone', description: '' });
    bench.pass(minute);
    expect((await get('/readyz')).status).toBe(200);
    expect(await get('/healthz')).toEqual({
      status: 503,
      text: '[-]vault failing: a key id of another key service (give another)\n',
    });
  });

  it('is degraded, not failing, within the grace', async () => {
    await get('/healthz');
    keys.failWith('unavailable');
    bench.pass(2 * minute);
    expect(await get('/healthz')).toMatchObject({ status: 200, text: expect.stringContaining('degraded') });
  });
});

describe('/metrics', () => {
  it('counts requests, calls to the key service and what the memory saved', async () => {
    await client.status();
    const sealed = await client.encrypt(seed, 'u');
    for (let i = 0; i < 3; i++) await client.decrypt(sealed, 'u');
    await client.decrypt({ ...sealed, keyId: 'other' }, 'u').catch(() => undefined);

    const operations = 'operation_duration_seconds_count';
    expect(await sample(`${operations}{key="vault",operation="Encrypt",code="OK"}`)).toBe(1);
    expect(await sample(`${operations}{key="vault",operation="Decrypt",code="OK"}`)).toBe(3);
    expect(await sample(`${operations}{key="vault",operation="Decrypt",code="INVALID_ARGUMENT"}`)).toBe(1);
    const calls = 'key_service_call_duration_seconds_count';
    expect(await sample(`${calls}{key="vault",call="encrypt",outcome="ok"}`)).toBe(1);
    expect(await sample(`${calls}{key="vault",call="decrypt",outcome="ok"}`)).toBe(1);
    expect(await sample(`${calls}{key="vault",call="decrypt",outcome="wrong-key"}`)).toBe(1);
    expect(await sample('kek_cache_hits_total{key="vault"}')).toBe(3);
    expect(await sample('kek_cache_misses_total{key="vault"}')).toBe(1);
    expect(await sample('kek_cache_keys{key="vault"}')).toBe(1);
    expect(await sample('local_keks_made_total{key="vault"}')).toBe(1);
    expect(await sample('local_kek_uses{key="vault"}')).toBe(1);
  });

  it('shows the key id in use, and no other', async () => {
    await client.status();
    expect(await sample('key_id_info{key="vault",key_id="in-memory-test-double/v1"}')).toBe(1);
    keys.rotate();
    await client.status();
    expect(await sample('key_id_info{key="vault",key_id="in-memory-test-double/v2"}')).toBe(1);
    expect(await sample('key_id_info{key="vault",key_id="in-memory-test-double/v1"}')).toBeUndefined();
  });

  it('shows the newest key id beside the one in use, where a rotation waits to be led', async () => {
    await client.status();
    expect((await get('/metrics')).text).not.toContain('newest_key_id_info{');
    const ledger = await Ledger.open(join(bench.folder, 'ledger.json'));
    const { client: held, server } = await bench.plugin(keys, { ledger });
    metrics.add({ name: 'led', key: server.key, circuit: () => 'closed' });
    const shown = async (name: string) => {
      await held.status();
      const versions = ['v1', 'v2'].map((version) => `in-memory-test-double/${version}`);
      const samples = versions.map((keyId) => sample(`${name}{key="led",key_id="${keyId}"}`));
      return await Promise.all(samples);
    };
    expect(await shown('newest_key_id_info')).toEqual([1, undefined]);
    keys.rotate();
    expect(await shown('newest_key_id_info')).toEqual([undefined, 1]);
    expect(await shown('key_id_info')).toEqual([1, undefined]);
  });

  it('shows an outage: degraded with the grace that is left, then unhealthy, and the circuit', async () => {
    await client.status();
    const all = async () => ({
      healthy: await sample('healthy{key="vault"}'),
      degraded: await sample('degraded{key="vault"}'),
      grace: await sample('grace_left_seconds{key="vault"}'),
      circuit: await sample('circuit_open{key="vault"}'),
    });
    expect(await all()).toEqual({ healthy: 1, degraded: 0, grace: 3600, circuit: 0 });
    keys.failWith('unavailable');
    for (let i = 0; i < 5; i++) {
      bench.pass(minute);
      await client.status();
    }
    expect(await all()).toEqual({ healthy: 1, degraded: 1, grace: 3300, circuit: 1 });
    bench.pass(memory.graceMs);
    expect(await all()).toEqual({ healthy: 0, degraded: 0, grace: 0, circuit: 1 });
  });

  it('is what Prometheus reads, with nothing of any content', async () => {
    const sealed = await client.encrypt(seed, 'u');
    const response = await fetch(`http://127.0.0.1:${http.port}/metrics`);
    expect(response.headers.get('content-type')).toContain('version=0.0.4');
    const text = await response.text();
    for (const secret of [seed, sealed.ciphertext, sealed.annotations['kek.keyferry.dev']])
      for (const form of ['base64', 'hex', 'latin1'] as const)
        expect(text + bench.lines.join('')).not.toContain(secret?.toString(form));
  });
});

describe('the HTTP listener', () => {
  it('answers to GET and HEAD only, and says what there is', async () => {
    expect((await get('/livez', 'HEAD')).status).toBe(200);
    expect((await get('/livez', 'POST')).status).toBe(405);
    expect(await get('/')).toEqual({ status: 404, text: expect.stringContaining('/readyz') });
  });

  it('says who stands in its way', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    bench.atEnd(() => other.close());
    const { port } = other.address() as AddressInfo;
    await expect(
      PluginHttpServer.start({ host: '127.0.0.1', port }, [], new PluginMetrics(), bench.log),
    ).rejects.toMatchObject({
      code: 'RefusedMetricsAddress',
      message: expect.stringContaining('EADDRINUSE'),
    });
  });
});
