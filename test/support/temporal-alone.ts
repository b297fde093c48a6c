import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { TASK_QUEUE, type LabConfig } from '../../lab/config.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findServer } from '../../lab/servers.ts';
import { temporalAddress, temporalLaunch } from '../../lab/temporal.ts';

/** A Temporal of a test file's own, with a worker within the test: real workflows, and activities that the test scripts. */
export class TemporalAlone {
  readonly client: Client;
  readonly #connection: NativeConnection;
  readonly #dir: string;
  readonly #processes: ProcessTable;

  private constructor(client: Client, connection: NativeConnection, dir: string, processes: ProcessTable) {
    this.client = client;
    this.#connection = connection;
    this.#dir = dir;
    this.#processes = processes;
  }

  /** Builds Temporal if it isn't there yet. */
  static async up(): Promise<TemporalAlone> {
    Runtime.install({ logger: new DefaultLogger('ERROR') });
    const dir = mkdtempSync(join(tmpdir(), 'kf-temporal-'));
    const config: LabConfig = {
      kind: 'keyferry-lab',
      dir,
      complete: true,
      createdAt: new Date().toISOString(),
      cluster: 'temporal-alone',
      binaries: { temporal: await findServer('temporal', (line) => process.stderr.write(`${line}\n`)) },
      etcd: { members: [], quotaBytes: 0 },
      apiServers: [],
      sourcePlugins: false,
      apiServerOptions: {
        reload: true,
        requestTimeoutSeconds: 60,
        etcdCompactionSeconds: 300,
        ownHostName: [],
      },
      temporal: {
        port: await freePort(),
        uiPort: await freePort(),
        httpPort: await freePort(),
        metricsPort: await freePort(),
      },
    };
    const processes = new ProcessTable(labPaths(dir).run);
    await processes.startAndWait(temporalLaunch(config));
    const address = temporalAddress(config);
    const client = new Client({ connection: await Connection.connect({ address }) });
    return new TemporalAlone(client, await NativeConnection.connect({ address }), dir, processes);
  }

  /** Runs something while a worker with these workflows and activities is there. */
  async withWorker<T>(workflowsPath: string, activities: object, run: () => Promise<T>): Promise<T> {
    const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
    const worker = await Worker.create({
      connection: this.#connection,
      taskQueue: TASK_QUEUE,
      workflowBundle,
      activities,
    });
    return await worker.runUntil(run);
  }

  async down(): Promise<void> {
    await this.client.connection.close();
    await this.#connection.close();
    await this.#processes.stop('temporal');
    rmSync(this.#dir, { recursive: true });
  }
}
