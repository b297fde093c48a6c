import { Command } from 'commander';
import {
  withTaskQueueOption,
  withTemporalOptions,
  type TaskQueueOptions,
  type TemporalOptions,
} from '../temporal-options.ts';

export function workerCommand(): Command {
  return withTaskQueueOption(
    new Command('worker').description('run workflows and what they do to clusters; run as many as you like'),
  ).action(async (options: TaskQueueOptions) => {
    const { runWorker } = await import('../../worker/run.ts');
    await runWorker({
      address: options.temporalAddress,
      namespace: options.temporalNamespace,
      taskQueue: options.taskQueue,
    });
  });
}

export function agentCommand(): Command {
  return withTemporalOptions(
    new Command('agent')
      .description('look after the EncryptionConfiguration of one control-plane node; run it there')
      .requiredOption('--cluster <name>', 'spec.cluster.name of the migrations it serves')
      .requiredOption('--node <name>', "the node's name in those migrations")
      .option('--restart-command <command>', "restarts this node's API server; run by /bin/sh"),
  ).action(async (options: TemporalOptions & { cluster: string; node: string; restartCommand?: string }) => {
    const { runAgent } = await import('../../worker/run.ts');
    await runAgent({
      address: options.temporalAddress,
      namespace: options.temporalNamespace,
      cluster: options.cluster,
      node: options.node,
      restartCommand: options.restartCommand,
    });
  });
}
