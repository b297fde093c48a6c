import { rmSync } from 'node:fs';
import { type EtcdMemberConfig, type LabConfig } from '../../lab/config.ts';
import { etcdLaunch, etcdNames, etcdUrls } from '../../lab/etcd.ts';
import { HttpClient } from '../../lab/http.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { labOf } from './server-alone.ts';
import { EtcdClient } from '../../src/cluster/etcd.ts';

/** An etcd of a test file's own, without the rest of a lab. */
export class EtcdAlone {
  readonly client: EtcdClient;
  readonly endpoints: readonly string[];
  readonly #config: LabConfig;
  readonly #processes: ProcessTable;

  private constructor(config: LabConfig, processes: ProcessTable) {
    this.#config = config;
    this.#processes = processes;
    this.endpoints = etcdUrls(config);
    this.client = this.newClient();
  }

  /** Builds etcd if it isn't there yet. Its processes are named as those of a lab: `etcd`, or `etcd-1` … */
  static async up(members = 1): Promise<EtcdAlone> {
    const settled: EtcdMemberConfig[] = [];
    for (const name of etcdNames(members)) {
      settled.push({ name, port: await freePort(), peerPort: await freePort() });
    }
    const config = await labOf('etcd', { etcd: { members: settled, quotaBytes: 1024 ** 3, tls: false } });
    const processes = new ProcessTable(labPaths(config.dir).run);
    await Promise.all(settled.map(({ name }) => processes.startAndWait(etcdLaunch(config, name))));
    return new EtcdAlone(config, processes);
  }

  async down(): Promise<void> {
    this.client.close();
    await Promise.all(this.#config.etcd.members.map(({ name }) => this.#processes.stop(name)));
    rmSync(this.#config.dir, { recursive: true });
  }

  /** One more client of all members; close it after use. */
  newClient(endpoints = this.endpoints): EtcdClient {
    return new EtcdClient({ endpoints: [...endpoints], prefix: '/registry' });
  }

  async start(name: string): Promise<void> {
    await this.#processes.startAndWait(etcdLaunch(this.#config, name));
  }

  /** SIGKILL, SIGSTOP, SIGCONT. */
  async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    await this.#processes.signal(name, signal);
  }

  /** Writes keys, a hundred in a transaction; answers with the revision of the last one. */
  async put(keys: readonly string[], value: Buffer): Promise<number> {
    return await this.#hundreds(keys, (key) => ({ request_put: { key: Buffer.from(key), value } }));
  }

  async remove(keys: readonly string[]): Promise<number> {
    return await this.#hundreds(keys, (key) => ({ request_delete_range: { key: Buffer.from(key) } }));
  }

  async #hundreds(keys: readonly string[], request: (key: string) => object): Promise<number> {
    let revision = 0;
    for (let at = 0; at < keys.length; at += 100) {
      const answer = await this.client.txn({ success: keys.slice(at, at + 100).map(request) });
      revision = Number(answer.header.revision);
    }
    return revision;
  }

  /** Forgets everything older than a revision. */
  async compact(revision: number): Promise<void> {
    await this.#ask('/v3/kv/compaction', { revision, physical: true });
  }

  /** Grants a lease of so many seconds; answers with its id. */
  async lease(ttl: number): Promise<string> {
    return ((await this.#ask('/v3/lease/grant', { TTL: ttl })) as { ID: string }).ID;
  }

  /** The lease that a key has; undefined where it has none. */
  async leaseOf(key: string): Promise<string | undefined> {
    const answer = await this.#ask('/v3/kv/range', { key: Buffer.from(key).toString('base64') });
    return (answer as { kvs?: { lease?: string }[] }).kvs?.[0]?.lease;
  }

  /** By the JSON gateway: no code of keyferry's is asked. */
  async #ask(path: string, body: object): Promise<unknown> {
    const client = new HttpClient(this.endpoints[0] ?? '');
    try {
      return JSON.parse((await client.expect('POST', path, body)).text) as unknown;
    } finally {
      client.close();
    }
  }
}
