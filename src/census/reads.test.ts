import { describe, expect, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import type { ApiServer } from '../cluster/api-server.ts';
import { KeyferryError } from '../errors.ts';
import { readObjects } from './reads.ts';
import { SECRETS } from '../cluster/resources.test-helper.ts';

const objects = Array.from({ length: 100 }, (_, i) => ({ namespace: 'shop', name: `secret-${i}` }));

/** Stands for an API server, and counts. */
class PretendedServer {
  asked = 0;
  atOnce = 0;
  mostAtOnce = 0;
  readonly name = 'cp-1';
  readonly #statusOf: (asked: number) => number;

  constructor(statusOf: (asked: number) => number) {
    this.#statusOf = statusOf;
  }

  async request(): Promise<{ status: number; body: object }> {
    this.asked += 1;
    const status = this.#statusOf(this.asked);
    this.atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce);
    await setImmediate();
    this.atOnce -= 1;
    return { status, body: {} };
  }
}

async function read(servers: readonly PretendedServer[], signal = new AbortController().signal) {
  let told = 0;
  const reads = await readObjects(servers as unknown as ApiServer[], SECRETS, objects, signal, () => {
    told += 1;
  });
  return { ...reads, told };
}

describe('reads of many objects', () => {
  test('go to each server once for each object, several at a time', async () => {
    const servers = [new PretendedServer(() => 200), new PretendedServer(() => 200)];
    expect(await read(servers)).toEqual({ read: 200, failed: 0, failures: [], stopped: false, told: 100 });
    for (const { asked, mostAtOnce } of servers) {
      expect(asked).toBe(100);
      expect(mostAtOnce).toBe(16);
    }
  });

  test('do not count what is gone', async () => {
    expect(await read([new PretendedServer((asked) => (asked === 7 ? 404 : 200))])).toMatchObject({
      read: 99,
      failed: 0,
    });
  });

  test('all stop at an answer that says nothing of the object', async () => {
    const server = new PretendedServer((asked) => (asked === 20 ? 503 : 200));
    await expect(read([server])).rejects.toThrow(KeyferryError);
    for (let i = 0; i < 10; i += 1) await setImmediate();
    expect(server.asked).toBeLessThan(20 + 2 * 16);
    expect(server.atOnce).toBe(0);
  });

  test('all stop when they are asked to', async () => {
    const stop = new AbortController();
    const server = new PretendedServer((asked) => {
      if (asked === 30) stop.abort();
      return 200;
    });
    const { stopped, read: done } = await read([server], stop.signal);
    expect(stopped).toBe(true);
    expect(done).toBe(server.asked);
    expect(done).toBeLessThan(30 + 2 * 16);
  });
});
