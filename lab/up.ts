import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { KeyferryError, messageOf } from '../src/errors.ts';
import { apiClient, apiServerLaunch, ownHostNamePrefix, writePki } from './api-server.ts';
import { writeConfig, type ApiServerConfig, type EtcdMemberConfig, type LabConfig } from './config.ts';
import { controllerManagerLaunch, STORAGE_MIGRATION_FLAGS } from './controller-manager.ts';
import { takeDown } from './down.ts';
import { initialEncryptionConfiguration, initialKmsConfiguration } from './encryption-configuration.ts';
import { etcdFolder, etcdLaunch, etcdNames } from './etcd.ts';
import { writeEtcdCertificates } from './etcd-tls.ts';
import { writeByRename } from './files.ts';
import {
  agentLaunch,
  pluginLaunch,
  workerLaunch,
  writePluginConfiguration,
  type PluginSide,
} from './keyferry-processes.ts';
import { kubeconfig } from './kubeconfig.ts';
import { migrationSpec } from './migration-spec.ts';
import { type LabOptions } from './options.ts';
import { labPaths, refuseDeepDir } from './paths.ts';
import { freePort } from './ports.ts';
import { AddressInUseError, ProcessTable, type Launch } from './process.ts';
import { applyRbac } from './rbac.ts';
import { findServer } from './servers.ts';
import { temporalLaunch } from './temporal.ts';
import { setUpVault, vaultLaunch, writeVaultConfiguration } from './vault.ts';
import { waitFor } from './wait.ts';

const GIB = 1024 ** 3;
const START_TRIES = 3;

/** Puts a lab up; whatever was started is taken down again when a part fails or the signal is given. */
export async function putUp(options: LabOptions): Promise<LabConfig> {
  let config = await newConfig(options);
  writeConfig(config);
  try {
    config = await startServers(config, options);
    await startKeyferry(config, options);
    config = { ...config, complete: true };
    writeConfig(config);
    return config;
  } catch (error) {
    options.say?.(`taking down what was started: ${messageOf(error).split('\n')[0] ?? ''}`);
    // Its own failure (someone else took the lab down meanwhile) must not hide why it came to this.
    await takeDown(config.dir).catch((second: unknown) => options.say?.(messageOf(second)));
    throw error;
  }
}

async function newConfig(options: LabOptions): Promise<LabConfig> {
  if (process.platform !== 'linux') {
    throw new KeyferryError('LabPlatform', 'A lab needs Linux: it tells processes by /proc.', {
      remedy: 'Run it in a Linux virtual machine or container.',
    });
  }
  const dir = resolve(options.dir);
  const nodes = Array.from({ length: options.apiServers ?? 2 }, (_, i) => `cp-${i + 1}`);
  refuseDeepDir(labPaths(dir), nodes);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (readdirSync(dir).length > 0) {
    throw new KeyferryError('LabDirInUse', `${dir} is not empty.`, {
      remedy:
        'If an older lab lies there, take it down (keyferry lab down --dir …); else choose another folder.',
    });
  }
  return {
    kind: 'keyferry-lab',
    dir,
    complete: false,
    createdAt: new Date().toISOString(),
    cluster: `lab-${randomBytes(3).toString('hex')}`,
    binaries: {},
    etcd: {
      members: etcdNames(options.etcdMembers ?? 1).map((name) => ({ name, port: 0, peerPort: 0 })),
      quotaBytes: 8 * GIB,
      tls: options.etcdTls ?? false,
    },
    apiServers: nodes.map((node) => ({
      node,
      port: 0,
      ...(options.controllerManager === true ? { flags: STORAGE_MIGRATION_FLAGS } : {}),
    })),
    sourcePlugins: options.sourcePlugins ?? false,
    apiServerOptions: {
      reload: options.reload ?? true,
      requestTimeoutSeconds: options.requestTimeoutSeconds ?? 60,
      etcdCompactionSeconds: options.etcdCompactionSeconds ?? 300,
      ownHostName: await ownHostNamePrefix(),
    },
  };
}

/** Adds binaries and ports to the configuration as they are settled. */
async function startServers(initial: LabConfig, options: LabOptions): Promise<LabConfig> {
  const { say = () => undefined, signal } = options;
  const wanted = {
    vault: (options.vault ?? true) || options.plugins === true,
    temporal: (options.temporal ?? true) || options.agents === true || (options.workers ?? 0) > 0,
  };
  // One after another: two builds side by side would only take turns.
  const base: LabConfig = {
    ...initial,
    binaries: {
      etcd: await findServer('etcd', say, signal),
      'kube-apiserver': await findServer('kube-apiserver', say, signal),
      ...(options.controllerManager === true
        ? { 'kube-controller-manager': await findServer('kube-controller-manager', say, signal) }
        : {}),
      ...(wanted.vault ? { vault: await findServer('vault', say, signal) } : {}),
      ...(wanted.temporal ? { temporal: await findServer('temporal', say, signal) } : {}),
    },
  };
  writePki(base);
  if (base.etcd.tls) await writeEtcdCertificates(base);
  const kmsFromTheStart = writeEncryptionConfigurations(base, options);
  const start = starter(base, say, signal);

  // All settled before an error goes up: nothing may be started behind the back of the taking down.
  const withVault = wanted.vault ? startVault(base, start, options) : Promise.resolve(base);
  const withTemporal = wanted.temporal ? startTemporal(base, start) : Promise.resolve(base);
  const withPlugins = withVault.then(async (config) => {
    if (options.plugins === true && kmsFromTheStart) await startPlugins(config, start);
    return config;
  });
  const withControlPlane = startControlPlane(base, start, kmsFromTheStart ? withPlugins : Promise.resolve());
  const [vault, temporal, controlPlane] = await allSettled([withPlugins, withTemporal, withControlPlane]);
  const config: LabConfig = {
    ...controlPlane,
    ...(vault.vault === undefined ? {} : { vault: vault.vault }),
    ...(temporal.temporal === undefined ? {} : { temporal: temporal.temporal }),
  };
  if (options.plugins === true && !kmsFromTheStart) await startPlugins(config, start);

  const paths = labPaths(config.dir);
  writeByRename(paths.kubeconfig, kubeconfig(config));
  writeByRename(paths.migration, stringify(migrationSpec(config)), 0o644);
  return options.controllerManager === true ? await startControllerManager(config, start) : config;
}

function startControllerManager(base: LabConfig, start: Start): Promise<LabConfig> {
  return withFreshPorts(
    async () => ({ ...base, controllerManager: { port: await freePort() } }),
    (config) => start(config, controllerManagerLaunch),
  );
}

/** Agents and workers; agents run `keyferry lab`, which reads the configuration: it is written before. */
async function startKeyferry(config: LabConfig, options: LabOptions): Promise<void> {
  writeConfig({ ...config, complete: true });
  const start = starter(config, options.say ?? (() => undefined), options.signal);
  const launches = [
    ...(options.agents === true ? config.apiServers.map(({ node }) => agentLaunch(config, node)) : []),
    ...Array.from({ length: options.workers ?? 0 }, (_, i) => workerLaunch(config, i + 1)),
  ];
  await allSettled(launches.map((launch) => start(config, () => launch).then(() => undefined)));
}

type Start = (config: LabConfig, launch: (config: LabConfig) => Launch) => Promise<void>;

function starter(base: LabConfig, say: (line: string) => void, signal?: AbortSignal): Start {
  const table = new ProcessTable(labPaths(base.dir).run);
  return async (config, launch) => {
    signal?.throwIfAborted();
    const began = Date.now();
    const { name } = launch(config);
    await table.startAndWait(launch(config), signal);
    say(`${name}: ready after ${((Date.now() - began) / 1000).toFixed(1)} s`);
  };
}

/** Starts with fresh ports, and again with others when one of them was taken in between. */
async function withFreshPorts(
  assign: () => Promise<LabConfig>,
  start: (config: LabConfig) => Promise<void>,
): Promise<LabConfig> {
  for (let attempt = 1; ; attempt++) {
    const config = await assign();
    try {
      await start(config);
      return config;
    } catch (error) {
      if (!(error instanceof AddressInUseError) || attempt === START_TRIES) throw error;
    }
  }
}

async function startControlPlane(
  base: LabConfig,
  start: Start,
  before: Promise<unknown>,
): Promise<LabConfig> {
  const withEtcd = await startEtcd(base, start);
  await before;
  const servers = await allSettled(
    base.apiServers.map(async (server): Promise<ApiServerConfig> => {
      const { node } = server;
      let settled = server;
      await withFreshPorts(
        async () => {
          settled = { ...server, port: await freePort() };
          return { ...withEtcd, apiServers: [settled] };
        },
        (config) => start(config, (own) => apiServerLaunch(own, node)),
      );
      return settled;
    }),
  );
  const config = { ...withEtcd, apiServers: servers };
  const api = apiClient(config, servers[0]?.node ?? '');
  try {
    await waitFor({ what: 'the namespace kube-system', timeoutMs: 30_000 }, async () => {
      return (await api.request('GET', '/api/v1/namespaces/kube-system')).status === 200;
    });
    await applyRbac(api);
  } finally {
    api.close();
  }
  return config;
}

/** All members at once: none is ready before most of them are. */
async function startEtcd(base: LabConfig, start: Start): Promise<LabConfig> {
  const { members } = base.etcd;
  const table = new ProcessTable(labPaths(base.dir).run);
  return withFreshPorts(
    async () => {
      const settled: EtcdMemberConfig[] = [];
      for (const { name } of members) {
        settled.push({ name, port: await freePort(), peerPort: await freePort() });
      }
      return { ...base, etcd: { ...base.etcd, members: settled } };
    },
    async (config) => {
      try {
        await allSettled(members.map(({ name }) => start(config, (own) => etcdLaunch(own, name))));
      } catch (error) {
        // The others remember the ports of the one that failed.
        for (const { name } of members) {
          await table.stop(name);
          rmSync(etcdFolder(base, name), { recursive: true, force: true });
        }
        throw error;
      }
    },
  );
}

async function startVault(base: LabConfig, start: Start, options: LabOptions): Promise<LabConfig> {
  const config = await withFreshPorts(
    async () => ({ ...base, vault: { port: await freePort(), clusterPort: await freePort() } }),
    (withPorts) => {
      writeVaultConfiguration(withPorts);
      return start(withPorts, vaultLaunch);
    },
  );
  await setUpVault(config);
  for (const { node } of config.apiServers) {
    for (const side of sidesWithPlugins(config))
      writePluginConfiguration(config, node, side, options.pluginSettings);
  }
  return config;
}

function startTemporal(base: LabConfig, start: Start): Promise<LabConfig> {
  return withFreshPorts(
    async () => ({
      ...base,
      temporal: {
        port: await freePort(),
        uiPort: await freePort(),
        httpPort: await freePort(),
        metricsPort: await freePort(),
      },
    }),
    (config) => start(config, temporalLaunch),
  );
}

async function startPlugins(config: LabConfig, start: Start): Promise<void> {
  await allSettled(
    config.apiServers.flatMap(({ node }) =>
      sidesWithPlugins(config).map((side) => start(config, () => pluginLaunch(config, node, side))),
    ),
  );
}

function sidesWithPlugins(config: LabConfig): readonly PluginSide[] {
  return config.sourcePlugins ? ['source', 'target'] : ['target'];
}

/** @returns whether a file names a kms provider, so that plugins must run before the API servers */
function writeEncryptionConfigurations(config: LabConfig, options: LabOptions): boolean {
  const initial = config.sourcePlugins ? initialKmsConfiguration : initialEncryptionConfiguration;
  const render = options.encryptionConfiguration ?? initial;
  const aescbcKey = randomBytes(32).toString('base64');
  const texts = config.apiServers.map(({ node }) => {
    const own = labPaths(config.dir).node(node);
    const text = render({
      node,
      aescbcKey,
      endpoint: `unix://${own.socket}`,
      sourceEndpoint: `unix://${own.sourceSocket}`,
    });
    writeByRename(own.encryptionConfiguration, text);
    return text;
  });
  return texts.some((text) => /^\s*(?:- *)?kms:/m.test(text));
}

/** Waits for all, then throws the first error. */
async function allSettled<T extends readonly unknown[]>(promises: {
  readonly [K in keyof T]: Promise<T[K]>;
}): Promise<T> {
  const results = await Promise.allSettled(promises);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return results.map((result) => (result.status === 'fulfilled' ? result.value : undefined)) as unknown as T;
}
