import { stringify } from 'yaml';
import { apiServerOf } from './api-server.ts';
import { TASK_QUEUE, TEMPORAL_NAMESPACE, type LabConfig } from './config.ts';
import { writeByRename } from './files.ts';
import { keyferryMain, labPaths } from './paths.ts';
import { accepts } from './ports.ts';
import { type Launch } from './process.ts';
import { temporalAddress } from './temporal.ts';
import { SOURCE_TRANSIT_KEY, TRANSIT_KEY, TRANSIT_MOUNT, vaultUrl } from './vault.ts';

/** Loading the workflow bundle takes a worker several seconds of a small machine. */
const READY_WITHIN_MS = 90_000;

export type PluginSide = 'source' | 'target';

/** Fields of a PluginConfiguration: of its one key (`localKek`, `escrow`), also by its node, and beside it (`metrics`). */
export interface PluginSettings {
  readonly key?: object | ((node: string) => object);
  readonly plugin?: object;
}

export function pluginLaunch(config: LabConfig, node: string, side: PluginSide = 'target'): Launch {
  const { file, socket } = pluginOf(config, node, side);
  const name = side === 'source' ? `${node}.source-plugin` : `${node}.plugin`;
  return { ...keyferry(config, name, ['plugin', '--config', file]), ready: () => accepts(socket) };
}

export function agentLaunch(config: LabConfig, node: string): Launch {
  return keyferry(config, `${node}.agent`, [
    'agent',
    ...temporalFlags(config),
    '--cluster',
    config.cluster,
    '--node',
    apiServerOf(config, node).node,
    '--restart-command',
    restartCommand(config, node),
  ]);
}

/** @param number - counts from 1 */
export function workerLaunch(config: LabConfig, number: number): Launch {
  return keyferry(config, `worker-${number}`, [
    'worker',
    ...temporalFlags(config),
    '--task-queue',
    TASK_QUEUE,
  ]);
}

/** The command line with which an agent restarts its API server. */
export function restartCommand(config: LabConfig, node: string): string {
  const words = [
    process.execPath,
    keyferryMain(),
    'lab',
    'restart-api-server',
    '--dir',
    config.dir,
    '--node',
    node,
  ];
  return words.map(shellQuote).join(' ');
}

export function writePluginConfiguration(
  config: LabConfig,
  node: string,
  side: PluginSide,
  { key, plugin }: PluginSettings = {},
): void {
  const paths = labPaths(config.dir);
  const { file, socket } = pluginOf(config, node, side);
  writeByRename(
    file,
    stringify({
      apiVersion: 'keyferry.dev/v1alpha1',
      kind: 'PluginConfiguration',
      ...plugin,
      keys: [
        {
          name: 'vault',
          socket,
          vaultTransit: {
            service: 'lab-vault',
            address: vaultUrl(config),
            mount: TRANSIT_MOUNT,
            key: side === 'source' ? SOURCE_TRANSIT_KEY : TRANSIT_KEY,
            auth: { tokenFile: paths.vault.token },
          },
          ...(typeof key === 'function' ? (key as (node: string) => object)(node) : key),
        },
      ],
    }),
  );
}

function pluginOf(config: LabConfig, node: string, side: PluginSide): { file: string; socket: string } {
  const own = labPaths(config.dir).node(apiServerOf(config, node).node);
  return side === 'source'
    ? { file: own.sourcePluginConfiguration, socket: own.sourceSocket }
    : { file: own.pluginConfiguration, socket: own.socket };
}

function keyferry(config: LabConfig, name: string, args: readonly string[]): Launch {
  return {
    name,
    command: process.execPath,
    args: [keyferryMain(), ...args],
    log: labPaths(config.dir).log(name),
    readyWithinMs: READY_WITHIN_MS,
    ready: (logText) => Promise.resolve(saysReady(logText())),
  };
}

function temporalFlags(config: LabConfig): string[] {
  return ['--temporal-address', temporalAddress(config), '--temporal-namespace', TEMPORAL_NAMESPACE];
}

/** Whether a JSON log has a line whose message says that the process is ready. */
export function saysReady(log: string): boolean {
  return log.split('\n').some((line) => {
    if (!line.includes('ready')) return false;
    try {
      const { msg } = JSON.parse(line) as { msg?: unknown };
      return typeof msg === 'string' && /\bready\b/.test(msg);
    } catch {
      return false;
    }
  });
}

/** Leaves plain words as they are, for people read them too. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
