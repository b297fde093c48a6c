import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LabConfig } from '../../lab/config.ts';
import { etcdLaunch, etcdUrl } from '../../lab/etcd.ts';
import { HttpClient } from '../../lab/http.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findServer } from '../../lab/servers.ts';
import { EtcdClient } from '../../src/cluster/etcd.ts';

/** An etcd of a test file's own, without the rest of a lab. */
export class EtcdAlone {
  readonly client: EtcdClient;
  readonly #dir: string;
  readonly #processes: ProcessTable;
  readonly #url: string;

  private constructor(dir: string, processes: ProcessTable, url: string) {
    this.#dir = dir;
    this.#processes = processes;
    this.#url = url;
    this.client = new EtcdClient({ endpoints: [url], prefix: '/registry' });
  }

  /** Builds etcd if it isn't there yet. */
  static async up(): Promise<EtcdAlone> {
    const dir = mkdtempSync(join(tmpdir(), 'kf-etcd-'));
    const config: LabConfig = {
      kind: 'keyferry-lab',
      dir,
      complete: true,
      createdAt: new Date().toISOString(),
      cluster: 'etcd-alone',
      binaries: { etcd: await findServer('etcd', (line) => process.stderr.write(`${line}\n`)) },
      etcd: { port: await freePort(), peerPort: await freePort(), quotaBytes: 1024 ** 3 },
      apiServers: [],
      sourcePlugins: false,
      apiServerOptions: {
        reload: true,
        requestTimeoutSeconds: 60,
        etcdCompactionSeconds: 300,
        ownHostName: [],
      },
    };
    const processes = new ProcessTable(labPaths(dir).run);
    await processes.startAndWait(etcdLaunch(config));
    return new EtcdAlone(dir, processes, etcdUrl(config));
  }

  async down(): Promise<void> {
    this.client.close();
    await this.#processes.stop('etcd');
    rmSync(this.#dir, { recursive: true });
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
    const client = new HttpClient(this.#url);
    try {
      await client.expect('POST', '/v3/kv/compaction', { revision, physical: true });
    } finally {
      client.close();
    }
  }
}
