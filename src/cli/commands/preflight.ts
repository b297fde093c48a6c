import { randomUUID } from 'node:crypto';
import { Command } from 'commander';
import { KeyferryError } from '../../errors.ts';
import type { preflight as preflightWorkflow } from '../../../workflows/preflight.ts';
import type { Check } from '../../plan/preflight.ts';
import { ExitCode } from '../exit-codes.ts';
import { readMigration } from '../files.ts';
import { columns, print } from '../output.ts';
import { withTemporal } from '../temporal.ts';
import { withTemporalOptions, type TemporalOptions } from '../temporal-options.ts';

const LIMIT_MS = 180_000;

export function preflightCommand(): Command {
  return withTemporalOptions(
    new Command('preflight')
      .description('run every check of a migration, through workers and agents; changes nothing')
      .requiredOption('-f, --file <file>', 'a Migration document, or - for standard input')
      .option('--json', 'answer as JSON'),
  ).action(async (options: TemporalOptions & { file: string; json?: boolean }) => {
    const migration = readMigration(options.file);
    const report = await withTemporal(options, async (client) => {
      try {
        return await client.workflow.execute<typeof preflightWorkflow>('preflight', {
          workflowId: `keyferry-preflight-${randomUUID()}`,
          taskQueue: options.taskQueue,
          args: [migration],
          workflowExecutionTimeout: LIMIT_MS,
        });
      } catch (error) {
        throw new KeyferryError('UnavailableWorker', `preflight had no answer within ${LIMIT_MS / 1000} s`, {
          remedy: `start a worker on task queue "${options.taskQueue}": keyferry worker`,
          retryable: true,
          cause: error,
        });
      }
    });
    print(options.json ?? false, report, () => renderChecks(report.checks));
    if (!report.passed) process.exitCode = ExitCode.no;
  });
}

export function renderChecks(checks: readonly Check[]): string {
  return columns([
    ['', 'CHECK', 'SEEN'],
    ...checks.flatMap((check) => [
      [check.outcome, check.name, check.detail],
      ...(check.remedy === undefined ? [] : [['', '', `what to do: ${check.remedy}`]]),
    ]),
  ]);
}
