import { rmSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { TASK_QUEUE } from '../../lab/config.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { temporalAddress, temporalLaunch } from '../../lab/temporal.ts';
import { labOf } from './server-alone.ts';

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
    const config = await labOf('temporal', {
      temporal: {
        port: await freePort(),
        uiPort: await freePort(),
        httpPort: await freePort(),
        metricsPort: await freePort(),
      },
    });
    const processes = new ProcessTable(labPaths(config.dir).run);
    await processes.startAndWait(temporalLaunch(config));
    const address = temporalAddress(config);
    const client = new Client({ connection: await Connection.connect({ address }) });
    return new TemporalAlone(client, await NativeConnection.connect({ address }), config.dir, processes);
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
