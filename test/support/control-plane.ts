import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import { type HttpAnswer } from '../../lab/http.ts';
import { Lab } from '../../lab/lab.ts';
import { type MigrationDocument, type MigrationOverrides } from '../../lab/migration-spec.ts';
import { type LabOptions } from '../../lab/options.ts';
import { seedObjects, type SeedOptions } from '../../lab/seed.ts';
import { temporalAddress } from '../../lab/temporal.ts';
import { runCli, type CliAnswer, type CliOptions } from './cli.ts';
import { RunningMigration } from './running-migration.ts';

export interface ControlPlaneOptions extends Omit<LabOptions, 'dir'> {
  readonly seed?: SeedOptions;
}

/** A lab of a test, with keyferry's processes, and a client of its Temporal. */
export class ControlPlane {
  readonly lab: Lab;
  readonly temporal: Client;
  readonly #parent: string;
  #documents = 0;

  private constructor(lab: Lab, temporal: Client, parent: string) {
    this.lab = lab;
    this.temporal = temporal;
    this.#parent = parent;
  }

  /** By default with restarts, short timeouts and compaction, two plugins, two agents and a worker. */
  static async up({ seed, ...options }: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const parent = mkdtempSync(join(tmpdir(), 'kf-'));
    const lab = await Lab.up({
      dir: join(parent, 'lab'),
      reload: false,
      requestTimeoutSeconds: 5,
      etcdCompactionSeconds: 10,
      plugins: true,
      agents: true,
      workers: 1,
      ...options,
    });
    try {
      if (seed !== undefined) await seedObjects(lab, seed);
      const connection = await Connection.connect({ address: temporalAddress(lab.config) });
      return new ControlPlane(lab, new Client({ connection }), parent);
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  async down(): Promise<void> {
    await this.temporal.connection.close();
    await this.lab.down();
    rmSync(this.#parent, { recursive: true });
  }

  /** The CLI, pointed at the lab's Temporal. */
  async cli(args: readonly string[], options: CliOptions = {}): Promise<CliAnswer> {
    return await runCli(args, {
      ...options,
      env: { TEMPORAL_ADDRESS: temporalAddress(this.lab.config), ...options.env },
    });
  }

  /** A Migration document in a file of its own, for `-f`. */
  document(
    overrides?: MigrationOverrides,
    change: (document: MigrationDocument) => unknown = (same) => same,
  ): string {
    const file = join(this.#parent, `migration-${++this.#documents}.yaml`);
    writeFileSync(file, stringify(change(this.lab.migrationSpec(overrides))));
    return file;
  }

  /** Starts a migration by the CLI. */
  async start(
    overrides?: MigrationOverrides,
    change?: (document: MigrationDocument) => unknown,
  ): Promise<RunningMigration> {
    const answer = await this.cli(['start', '-f', this.document(overrides, change), '--json']);
    if (answer.code !== 0)
      throw new Error(`start ended with ${answer.code}:\n${answer.stdout}\n${answer.stderr}`);
    const { workflowId, runId } = JSON.parse(answer.stdout) as { workflowId: string; runId: string };
    return new RunningMigration(this, workflowId, runId);
  }

  configurationFile(node: string): string {
    return this.lab.paths.node(node).encryptionConfiguration;
  }

  /** The text of each node's EncryptionConfiguration, by node. */
  configurations(): Record<string, string> {
    return Object.fromEntries(
      this.lab.nodes.map((node) => [node, readFileSync(this.configurationFile(node), 'utf8')]),
    );
  }

  /** The aescbc key that the lab began with, in base64. */
  sourceKey(): string {
    const key = /secret: (\S+)/.exec(Object.values(this.configurations())[0] ?? '')?.[1];
    if (key === undefined) throw new Error('no aescbc key in the configuration any more: ask before cutover');
    return key;
  }

  /** One request to one API server as its administrator. */
  async ask(
    node: string,
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<HttpAnswer> {
    const client = this.lab.api(node);
    try {
      return await client.request(method, path, body, contentType);
    } finally {
      client.close();
    }
  }
}
