import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { type KekMemory } from '../keys/dek-opener.ts';
import { type LocalKekOptions } from '../keys/hierarchy.ts';
import { type KeyService } from '../keys/key-service.ts';
import { KmsPluginClient } from './client.ts';
import { KmsPluginServer } from './server.ts';

const hour = 3_600_000;

/** About the defaults of a configuration. */
export const localKek: LocalKekOptions = { maxAgeMs: 24 * hour, maxUses: 1_000_000 };
export const memory: KekMemory = { keys: 1_000, ttlMs: 24 * hour, graceMs: hour };

/** Plugins and clients of one test, over real sockets, with a clock that only the test moves. */
export class PluginBench {
  readonly folder = mkdtempSync(join(tmpdir(), 'kf-'));
  readonly lines: string[] = [];
  readonly log = pino(
    { level: 'debug' },
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.lines.push(chunk.toString());
        done();
      },
    }),
  );
  #time = Date.parse('2026-01-01T00:00:00Z');
  #plugins = 0;
  readonly #cleanups: (() => unknown)[] = [];

  readonly now = (): number => this.#time;

  pass(ms: number): void {
    this.#time += ms;
  }

  /** A plugin at a socket of its own, and a client that talks to it. */
  async plugin(
    service: KeyService,
    options: NonNullable<Parameters<typeof KmsPluginServer.start>[3]> = {},
  ): Promise<{ server: KmsPluginServer; client: KmsPluginClient; endpoint: string }> {
    const socket = join(this.folder, `${(this.#plugins += 1)}.sock`);
    const server = await KmsPluginServer.start(socket, service, this.log, {
      localKek,
      memory,
      now: this.now,
      ...options,
    });
    const endpoint = `unix://${socket}`;
    const client = new KmsPluginClient(endpoint, { timeoutMs: 10_000 });
    this.atEnd(() => server.stop());
    this.atEnd(() => client.close());
    return { server, client, endpoint };
  }

  atEnd(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits for a condition, and fails when it doesn't come about. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  for (const end = Date.now() + withinMs; !(await condition());) {
    if (Date.now() > end) throw new Error('it did not come about in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
