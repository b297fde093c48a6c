import { resolve } from 'node:path';
import { KeyferryError } from '../src/errors.ts';
import { apiClient, apiServerLaunch, apiServerUrl, type LabUser } from './api-server.ts';
import { readConfig, TASK_QUEUE, TEMPORAL_NAMESPACE, type LabConfig } from './config.ts';
import { CONTROLLER_MANAGER, controllerManagerLaunch } from './controller-manager.ts';
import { takeDown } from './down.ts';
import { etcdLaunch, etcdUrls, isEtcd } from './etcd.ts';
import { type HttpClient } from './http.ts';
import { agentLaunch, pluginLaunch, workerLaunch } from './keyferry-processes.ts';
import { notPartOfThisLab } from './launch.ts';
import { migrationSpec, type MigrationDocument, type MigrationOverrides } from './migration-spec.ts';
import { type LabOptions } from './options.ts';
import { labPaths, type LabPaths } from './paths.ts';
import { ProcessTable, type Launch } from './process.ts';
import { temporalAddress, temporalLaunch } from './temporal.ts';
import { putUp } from './up.ts';
import { vaultAdmin, vaultLaunch, vaultUrl } from './vault.ts';

export interface LabStatus {
  readonly dir: string;
  readonly cluster: string;
  /** Whether all that was started runs. */
  readonly running: boolean;
  readonly processes: readonly LabProcess[];
  readonly etcd: { readonly endpoints: readonly string[] };
  readonly apiServers: readonly {
    readonly node: string;
    readonly server: string;
    readonly certificateAuthority: string;
    readonly encryptionConfiguration: string;
    readonly pluginConfiguration: string;
    readonly socket: string;
    readonly ready: boolean;
  }[];
  readonly vault?: { readonly address: string; readonly tokenFile: string };
  readonly temporal?: {
    readonly address: string;
    readonly ui: string;
    readonly metrics: string;
    readonly namespace: string;
    readonly taskQueue: string;
  };
  readonly kubeconfig: string;
  readonly migration: string;
}

export interface LabProcess {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  readonly log: string;
}

/**
 * A control plane on this machine: etcd, API servers, Vault, Temporal, and keyferry's own processes if wanted.
 *
 * Its processes are detached: they outlive the one that put them up, and another may open the lab by its folder.
 * Processes are named `etcd` (or `etcd-1` … where it has several members), `controller-manager`, `vault`, `temporal`,
 * `<node>.apiserver`, `<node>.plugin`, `<node>.source-plugin`, `<node>.agent` and `worker-<n>`; any of them can be started, also one that
 * `up` left out.
 */
export class Lab {
  readonly config: LabConfig;
  readonly paths: LabPaths;
  readonly #processes: ProcessTable;

  private constructor(config: LabConfig) {
    this.config = config;
    this.paths = labPaths(config.dir);
    this.#processes = new ProcessTable(this.paths.run);
  }

  /** Puts a lab up. When it fails, or `options.signal` is aborted, nothing is left behind. */
  static async up(options: LabOptions): Promise<Lab> {
    return new Lab(await putUp(options));
  }

  /** A lab that is up, perhaps put up by another process. */
  static open(dir: string): Lab {
    const config = readConfig(dir);
    if (!config.complete) {
      throw new KeyferryError('LabIncomplete', `The lab in ${resolve(dir)} was not put up to its end.`, {
        remedy: `If "keyferry lab up" no longer runs, remove what is left: keyferry lab down --dir ${dir}`,
      });
    }
    return new Lab(config);
  }

  get dir(): string {
    return this.config.dir;
  }

  get nodes(): readonly string[] {
    return this.config.apiServers.map(({ node }) => node);
  }

  /** A client of one API server; close it after use. */
  api(node = this.nodes[0] ?? '', user: LabUser = 'admin', options: { timeoutMs?: number } = {}): HttpClient {
    return apiClient(this.config, node, user, options);
  }

  /** A client of Vault with the root token; close it after use. */
  vaultAdmin(): HttpClient {
    return vaultAdmin(this.config);
  }

  /** Starts a process by name, and waits until it is ready. */
  async start(name: string): Promise<void> {
    await this.#processes.startAndWait(this.#launch(name));
  }

  /** Stops a process (SIGTERM, after the grace SIGKILL), and waits until it is gone. Fine when it doesn't run. */
  async stop(name: string): Promise<void> {
    this.#launch(name);
    await this.#processes.stop(name);
  }

  async restart(name: string): Promise<void> {
    await this.#processes.restart(this.#launch(name));
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(name: string): Promise<void> {
    await this.#processes.signal(name, 'SIGKILL');
  }

  /** SIGSTOP: it keeps its connections and answers nothing. */
  async freeze(name: string): Promise<void> {
    await this.#processes.signal(name, 'SIGSTOP');
  }

  /** SIGCONT after `freeze`. */
  async thaw(name: string): Promise<void> {
    await this.#processes.signal(name, 'SIGCONT');
  }

  async restartApiServer(node: string): Promise<void> {
    await this.restart(`${node}.apiserver`);
  }

  async stopVault(): Promise<void> {
    await this.stop('vault');
  }

  /** On the same port, and unsealed. */
  async startVault(): Promise<void> {
    await this.start('vault');
  }

  pid(name: string): number | undefined {
    return this.#processes.running(name)?.pid;
  }

  /** A spec from what the lab began with to its Vault; `overrides.spec` replaces fields of the spec as a whole. */
  migrationSpec(overrides?: MigrationOverrides): MigrationDocument {
    return migrationSpec(this.config, overrides);
  }

  async status(): Promise<LabStatus> {
    const { config, paths } = this;
    const processes = this.#processes.list().map(({ name, pid, log }) => ({
      name,
      pid,
      running: this.pid(name) !== undefined,
      log,
    }));
    return {
      dir: config.dir,
      cluster: config.cluster,
      running: processes.length > 0 && processes.every(({ running }) => running),
      processes,
      etcd: { endpoints: etcdUrls(config) },
      apiServers: await Promise.all(
        config.apiServers.map(async (server) => {
          const own = paths.node(server.node);
          return {
            node: server.node,
            server: apiServerUrl(server),
            certificateAuthority: own.certificate,
            encryptionConfiguration: own.encryptionConfiguration,
            pluginConfiguration: own.pluginConfiguration,
            socket: own.socket,
            ready: await this.#isReady(server.node),
          };
        }),
      ),
      ...(config.vault === undefined
        ? {}
        : { vault: { address: vaultUrl(config), tokenFile: paths.vault.token } }),
      ...(config.temporal === undefined
        ? {}
        : {
            temporal: {
              address: temporalAddress(config),
              ui: `http://127.0.0.1:${config.temporal.uiPort}`,
              metrics: `http://127.0.0.1:${config.temporal.metricsPort}/metrics`,
              namespace: TEMPORAL_NAMESPACE,
              taskQueue: TASK_QUEUE,
            },
          }),
      kubeconfig: paths.kubeconfig,
      migration: paths.migration,
    };
  }

  /** Stops everything and removes the folder. */
  async down(options: { keep?: boolean } = {}): Promise<string[]> {
    return takeDown(this.dir, options);
  }

  async #isReady(node: string): Promise<boolean> {
    try {
      return await apiServerLaunch(this.config, node).ready(() => '');
    } catch {
      return false;
    }
  }

  #launch(name: string): Launch {
    const { config } = this;
    if (isEtcd(name)) return etcdLaunch(config, name);
    if (name === CONTROLLER_MANAGER) return controllerManagerLaunch(config);
    if (name === 'vault') return vaultLaunch(config);
    if (name === 'temporal') return temporalLaunch(config);
    const worker = /^worker-(\d+)$/.exec(name)?.[1];
    if (worker !== undefined) return workerLaunch(config, Number(worker));
    const [node = '', role] = name.split('.');
    if (role === 'apiserver') return apiServerLaunch(config, node);
    if (role === 'plugin') return pluginLaunch(config, node);
    if (role === 'source-plugin') return pluginLaunch(config, node, 'source');
    if (role === 'agent') return agentLaunch(config, node);
    throw notPartOfThisLab(name);
  }
}
