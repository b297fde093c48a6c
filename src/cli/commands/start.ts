import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { Command } from 'commander';
import { KeyferryError } from '../../errors.ts';
import { readDocument } from '../files.ts';
import { print } from '../output.ts';
import { hasSearchAttributes } from '../search-attributes.ts';
import { migrationId, withTemporal } from '../temporal.ts';
import { withTaskQueueOption, type TaskQueueOptions } from '../temporal-options.ts';
import { KEYFERRY_CLUSTER, KEYFERRY_PHASE } from '../../../workflows/search-attributes.ts';
import { workflowOf } from '../workflows.ts';

export function startCommand(): Command {
  return withTaskQueueOption(
    new Command('start')
      .description(
        'start a migration, of keys or of storage versions; it begins with preflight, and changes nothing where that fails',
      )
      .requiredOption(
        '-f, --file <file>',
        'a Migration or StorageVersionMigration document, or - for standard input',
      )
      .option('--json', 'answer as JSON'),
  ).action(async (options: TaskQueueOptions & { file: string; json?: boolean }) => {
    const migration = readDocument(options.file);
    const workflowId = await migrationId(migration.spec.cluster);
    await withTemporal(options, async (client) => {
      const searchAttributes = await hasSearchAttributes(client, options.temporalNamespace);
      try {
        const handle = await client.workflow.start(workflowOf[migration.kind], {
          workflowId,
          taskQueue: options.taskQueue,
          args: [{ migration, searchAttributes }],
          ...(searchAttributes
            ? {
                typedSearchAttributes: [
                  { key: KEYFERRY_PHASE, value: 'preflight' },
                  { key: KEYFERRY_CLUSTER, value: migration.spec.cluster.name },
                ],
              }
            : {}),
          workflowIdConflictPolicy: 'FAIL',
          memo: { migration: migration.metadata.name, cluster: migration.spec.cluster.name },
          staticSummary: `${migration.metadata.name} on ${migration.spec.cluster.name}`,
        });
        print(
          options.json ?? false,
          { workflowId, runId: handle.firstExecutionRunId },
          () => `Started ${migration.metadata.name} as ${workflowId}.\nWatch it: keyferry status --watch`,
        );
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        throw new KeyferryError(
          'AlreadyRunning',
          `this cluster is being migrated already, as ${workflowId}`,
          {
            remedy:
              'look at it with "keyferry status"; let it end, or roll it back, before you start another',
          },
        );
      }
    });
  });
}
