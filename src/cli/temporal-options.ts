import { type Command } from 'commander';

export interface TemporalOptions {
  temporalAddress: string;
  temporalNamespace: string;
}

export interface TaskQueueOptions extends TemporalOptions {
  taskQueue: string;
}

/** The flags of every command that talks to Temporal; the variables are those of Temporal's own CLI. */
export function withTemporalOptions(command: Command): Command {
  return command
    .option(
      '--temporal-address <host:port>',
      'Temporal frontend (or TEMPORAL_ADDRESS)',
      process.env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233',
    )
    .option(
      '--temporal-namespace <name>',
      'Temporal namespace (or TEMPORAL_NAMESPACE)',
      process.env['TEMPORAL_NAMESPACE'] ?? 'default',
    );
}

/** The same, for commands that start workflows or run them. */
export function withTaskQueueOption(command: Command): Command {
  return withTemporalOptions(command).option(
    '--task-queue <name>',
    'task queue of the workers (or KEYFERRY_TASK_QUEUE)',
    process.env['KEYFERRY_TASK_QUEUE'] ?? 'keyferry',
  );
}
