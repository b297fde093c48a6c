import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, type Client } from '@temporalio/client';
import { CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import { Command } from 'commander';
import { KeyferryError } from '../../errors.ts';
import type { PreflightReport } from '../../../workflows/preflight.ts';
import type { Check } from '../../plan/preflight.ts';
import { ExitCode } from '../exit-codes.ts';
import { readDocument } from '../files.ts';
import { print } from '../output.ts';
import { renderChecks } from '../render-checks.ts';
import { withTemporal } from '../temporal.ts';
import { preflightOf } from '../workflows.ts';
import { withTaskQueueOption, type TaskQueueOptions } from '../temporal-options.ts';

/** Counting the objects of a large cluster, and webhooks that don't answer, take minutes. */
const LIMIT_MS = 600_000;
/** A worker that has just been started takes its time to poll. */
const WORKER_WITHIN_MS = 10_000;

/** What the preflight of every kind answers with. */
type Judged = Pick<PreflightReport, 'checks' | 'passed'>;

export function preflightCommand(): Command {
  return withTaskQueueOption(
    new Command('preflight')
      .description('run every check of a migration, through workers and agents; leaves the cluster as it was')
      .requiredOption(
        '-f, --file <file>',
        'a Migration or StorageVersionMigration document, or - for standard input',
      )
      .option('--json', 'answer as JSON')
      .addHelpText('after', '\nExits with 1 where a check fails; warnings let a migration begin.'),
  ).action(async (options: TaskQueueOptions & { file: string; json?: boolean }) => {
    const migration = readDocument(options.file);
    const report = await withTemporal(options, async (client) => {
      await awaitWorker(client, options);
      try {
        return (await client.workflow.execute(preflightOf[migration.kind], {
          workflowId: `keyferry-preflight-${randomUUID()}`,
          taskQueue: options.taskQueue,
          args: [migration],
          workflowExecutionTimeout: LIMIT_MS,
        })) as Judged;
      } catch (error) {
        if (!(error instanceof WorkflowFailedError)) throw error;
        if (error.cause instanceof TimeoutFailure) {
          throw noWorker(options, `preflight had no answer within ${LIMIT_MS / 60_000} min`);
        }
        if (error.cause instanceof TerminatedFailure || error.cause instanceof CancelledFailure) {
          throw new KeyferryError('UnavailablePreflight', 'somebody ended the preflight in Temporal', {
            remedy: 'run it again',
            retryable: true,
          });
        }
        throw error.cause ?? error;
      }
    });
    print(options.json ?? false, report, () => renderReport(report));
    if (!report.passed) process.exitCode = ExitCode.no;
  });
}

/** A task that nobody takes would lie in its queue in silence. */
async function awaitWorker(client: Client, options: TaskQueueOptions): Promise<void> {
  const deadline = Date.now() + WORKER_WITHIN_MS;
  for (;;) {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: options.temporalNamespace,
      taskQueue: { name: options.taskQueue },
    });
    if (pollers.length > 0) return;
    if (Date.now() >= deadline) throw noWorker(options, 'no worker is there to run preflight');
    await sleep(500);
  }
}

function noWorker({ taskQueue }: TaskQueueOptions, message: string): KeyferryError {
  return new KeyferryError('UnavailableWorker', message, {
    remedy: `start a worker on task queue "${taskQueue}": keyferry worker`,
    retryable: true,
  });
}

function renderReport({ checks, passed }: Judged): string {
  const count = (outcome: Check['outcome']): number =>
    checks.filter((check) => check.outcome === outcome).length;
  return [
    renderChecks(checks),
    '',
    `${count('pass')} passed, ${count('warn')} warned, ${count('fail')} failed: ${passed ? 'the migration can begin' : 'mend what failed first'}.`,
  ].join('\n');
}
