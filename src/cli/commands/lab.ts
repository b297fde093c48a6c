import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { takeDown } from '../../../lab/down.ts';
import { Lab, type LabStatus } from '../../../lab/lab.ts';
import { seedObjects } from '../../../lab/seed.ts';
import { ExitCode } from '../exit-codes.ts';
import { columns, print } from '../output.ts';

interface UpFlags {
  dir: string;
  apiServers: number;
  secrets: number;
  configMaps: number;
  namespaces: number;
  takeUp: 'reload' | 'restart';
  requestTimeout: number;
  compactionInterval: number;
  plugins: boolean;
  agents: boolean;
  workers: number;
  json?: boolean;
}

export function labCommand(): Command {
  return new Command('lab')
    .description(
      'A real control plane on this machine, for trying keyferry out: etcd, API servers, Vault, Temporal.',
    )
    .addCommand(upCommand())
    .addCommand(statusCommand())
    .addCommand(downCommand())
    .addCommand(restartApiServerCommand());
}

function upCommand(): Command {
  return onDir(new Command('up'))
    .description(
      'Put a lab up. Servers that are not on this machine are built with Go, which takes minutes, once.',
    )
    .option('--api-servers <n>', 'API servers, each on a node of its own', atLeast(1), 2)
    .option('--secrets <n>', 'Secrets to seed', atLeast(0), 1_000)
    .option('--config-maps <n>', 'ConfigMaps to seed', atLeast(0), 100)
    .option('--namespaces <n>', 'spread over so many namespaces', atLeast(1), 3)
    .addOption(
      new Option('--take-up <how>', 'how API servers take up a changed encryption configuration')
        .choices(['reload', 'restart'])
        .default('reload'),
    )
    .option('--request-timeout <s>', "the API servers' request timeout, in seconds", atLeast(1), 60)
    .option('--compaction-interval <s>', 'how often etcd is compacted, in seconds', atLeast(1), 300)
    .option('--workers <n>', 'keyferry workers', atLeast(0), 1)
    .option('--no-plugins', 'start no kms plugins')
    .option('--no-agents', 'start no keyferry agents')
    .action(up);
}

async function up(flags: UpFlags): Promise<void> {
  const json = flags.json === true;
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const abort = new AbortController();
  const interrupted = () => abort.abort(new Error('interrupted'));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, interrupted);
  try {
    const began = Date.now();
    const lab = await Lab.up({
      dir: flags.dir,
      apiServers: flags.apiServers,
      reload: flags.takeUp === 'reload',
      requestTimeoutSeconds: flags.requestTimeout,
      etcdCompactionSeconds: flags.compactionInterval,
      plugins: flags.plugins,
      agents: flags.agents,
      workers: flags.workers,
      say,
      signal: abort.signal,
    });
    await seed(lab, flags, say, abort.signal);
    say(`up after ${((Date.now() - began) / 1000).toFixed(1)} s`);
    const status = await lab.status();
    print(json, status, () => `\n${describe(status)}\n\n${nextCommands(status)}`);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    say('interrupted: everything was taken down');
    process.exitCode = ExitCode.no;
  } finally {
    for (const signal of signals) process.off(signal, interrupted);
  }
}

async function seed(
  lab: Lab,
  flags: UpFlags,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (flags.secrets + flags.configMaps === 0) return;
  const began = Date.now();
  try {
    await seedObjects(lab, {
      secrets: flags.secrets,
      configMaps: flags.configMaps,
      namespaces: flags.namespaces,
      signal,
    });
  } catch (error) {
    await lab.down();
    throw error;
  }
  const seconds = (Date.now() - began) / 1000;
  say(`seeded ${flags.secrets} Secrets and ${flags.configMaps} ConfigMaps in ${seconds.toFixed(1)} s`);
}

function statusCommand(): Command {
  return onDir(new Command('status'))
    .description('Where everything of a lab is, and whether it runs. Exits with 1 when a part is down.')
    .action(async ({ dir, json }: { dir: string; json?: boolean }) => {
      const status = await Lab.open(dir).status();
      print(json === true, status, () => describe(status));
      if (!status.running || status.apiServers.some(({ ready }) => !ready)) process.exitCode = ExitCode.no;
    });
}

function downCommand(): Command {
  return onDir(new Command('down'))
    .description('Stop all processes of a lab and remove its folder.')
    .option('--keep', 'keep the folder with its logs')
    .action(async ({ dir, keep, json }: { dir: string; keep?: boolean; json?: boolean }) => {
      const stopped = await takeDown(dir, { keep: keep === true });
      print(json === true, { dir, stopped, kept: keep === true }, () => {
        const folder = keep === true ? `kept ${dir}` : `removed ${dir}`;
        return `stopped ${stopped.length === 0 ? 'nothing, for nothing ran' : stopped.join(', ')}; ${folder}`;
      });
    });
}

function restartApiServerCommand(): Command {
  return onDir(new Command('restart-api-server'))
    .description("Restart one API server, and wait until it is ready. The lab's agents use this.")
    .requiredOption('--node <name>', 'the node it runs on, e.g. cp-1')
    .action(async ({ dir, node, json }: { dir: string; node: string; json?: boolean }) => {
      const lab = Lab.open(dir);
      await lab.restartApiServer(node);
      const pid = lab.pid(`${node}.apiserver`);
      print(json === true, { node, pid }, () => `restarted the API server of ${node} (pid ${pid ?? '?'})`);
    });
}

function onDir(command: Command): Command {
  return command
    .option('--dir <folder>', "the lab's folder", join(tmpdir(), 'keyferry-lab'))
    .option('--json', 'answer with JSON');
}

function describe(status: LabStatus): string {
  const rows = [
    ['PROCESS', 'PID', 'STATE', 'LOG'],
    ...status.processes.map(({ name, pid, running, log }) => [
      name,
      `${pid}`,
      running ? 'running' : 'ended',
      log,
    ]),
  ];
  const places = [
    ['etcd', status.etcd.endpoints.join(', ')],
    ...status.apiServers.map(({ node, server, ready }) => [
      node,
      `${server} (${ready ? 'ready' : 'not ready'})`,
    ]),
    ...(status.vault === undefined ? [] : [['vault', status.vault.address]]),
    ...(status.temporal === undefined
      ? []
      : [
          ['temporal', status.temporal.address],
          ['temporal UI', status.temporal.ui],
        ]),
    ['kubeconfig', status.kubeconfig],
    ['migration', status.migration],
  ];
  return `cluster ${status.cluster} in ${status.dir}\n\n${columns(rows)}\n\n${columns(places)}`;
}

function nextCommands(status: LabStatus): string {
  const address = status.temporal?.address ?? '';
  return [
    'Next:',
    `  kubectl --kubeconfig ${status.kubeconfig} get secrets -A`,
    `  keyferry preflight -f ${status.migration} --temporal-address ${address}`,
    `  keyferry start -f ${status.migration} --temporal-address ${address}`,
    `  keyferry lab down --dir ${status.dir}`,
  ].join('\n');
}

function atLeast(minimum: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!Number.isSafeInteger(number) || number < minimum) {
      throw new InvalidArgumentError(`Needs a whole number of at least ${minimum}.`);
    }
    return number;
  };
}
