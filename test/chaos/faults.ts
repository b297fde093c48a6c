import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { KeyferryError } from '../../src/errors.ts';

export const PROCESSES = [
  'worker',
  'agent',
  'source-plugin',
  'target-plugin',
  'api-server',
  'etcd',
  'temporal',
  'vault',
] as const;
export type Process = (typeof PROCESSES)[number];

/** `kill`: SIGKILL, and started again. `stop`: SIGSTOP, and SIGCONT once every heartbeat is long overdue. */
export const FAULTS = ['kill', 'stop'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Blow {
  readonly process: Process;
  readonly fault: Fault;
}

/** How long a killed process stays away before it is started, and a stopped one stopped, in ms. */
export const AWAY_MS: Readonly<Record<Fault, number>> = {
  kill: 2_000,
  // Activities are missed after 10 s without a heartbeat, those of agents after 15 s.
  stop: 17_000,
};

/** The instances of a process, by their names in the lab. */
export function instances(
  process: Process,
  { nodes, workers }: { nodes: readonly string[]; workers: number },
): readonly string[] {
  const onNodes = (role: string): string[] => nodes.map((node) => `${node}.${role}`);
  switch (process) {
    case 'worker':
      return Array.from({ length: workers }, (_, i) => `worker-${i + 1}`);
    case 'agent':
      return onNodes('agent');
    case 'source-plugin':
      return onNodes('source-plugin');
    case 'target-plugin':
      return onNodes('plugin');
    case 'api-server':
      return onNodes('apiserver');
    case 'etcd':
    case 'temporal':
    case 'vault':
      return [process];
  }
}

/** Gives a fault to a process of the lab, and answers once it is mended. */
export async function strike(lab: Lab, name: string, fault: Fault, awayMs: number): Promise<void> {
  await signalled(fault === 'kill' ? lab.kill(name) : lab.freeze(name));
  await sleep(awayMs);
  if (fault === 'kill') await startAgain(lab, name);
  else await signalled(lab.thaw(name));
}

/** An agent may just be restarting its API server: then it isn't there to be hit, or has been ended by now. */
async function signalled(signal: Promise<void>): Promise<void> {
  await signal.catch((error: unknown) => {
    if (!(error instanceof KeyferryError && error.code === 'LabNotRunning')) throw error;
  });
}

/**
 * As a supervisor would: what doesn't come up (an API server whose etcd is away) is tried again. An agent may start its
 * API server at the same time: one of the two comes first.
 */
async function startAgain(lab: Lab, name: string): Promise<void> {
  await waitFor({ what: `${name} to run again`, timeoutMs: 300_000, intervalMs: 500 }, async () => {
    if (lab.pid(name) === undefined) {
      const failure: unknown = await lab.start(name).catch((error: unknown) => error);
      if (failure === undefined) return true;
    }
    const node = /^(.+)\.apiserver$/.exec(name)?.[1];
    if (node === undefined) return lab.pid(name) !== undefined;
    return (await lab.status()).apiServers.some((server) => server.node === node && server.ready);
  });
}
