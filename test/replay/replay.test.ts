import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { globalHandlers } from '@temporalio/worker/lib/workflow/vm-shared.js';
import { DeterminismViolationError } from '@temporalio/workflow';

const folder = new URL('histories/', import.meta.url);
const histories = readdirSync(folder).filter((file) => file.endsWith('.json'));

async function bundle(path: string): Promise<{ code: string }> {
  const workflowsPath = fileURLToPath(new URL(path, import.meta.url));
  return await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
}

async function replay(workflowBundle: { code: string }, file: string): Promise<void> {
  const history = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
    events: { workflowExecutionStartedEventAttributes?: { workflowId: string } }[];
  };
  // The ids of children are made of their parent's.
  const workflowId = history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId;
  await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
}

let current: { code: string };

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  current = await bundle('../../workflows/index.ts');
}, 60_000);

// A replay watches every promise of its process and doesn't stop: promises without a constructor, of whichever file the same
// process tests next, would throw.
afterAll(() => {
  (globalHandlers as unknown as { stopPromiseHook(): void }).stopPromiseHook();
});

describe('histories that were written by a release replay under the present code', () => {
  it('are there for each kind of workflow', () => {
    for (const type of [
      'migration-completed',
      'migration-rolled-back',
      'migration-completed-natively',
      'storageVersionMigration-completed',
      'storageVersionMigration-completed-natively',
      'rewriteShard',
      'nativeMigration',
      'census',
      'versions',
    ]) {
      expect(histories.filter((file) => file.endsWith(`-${type}.json`))).not.toHaveLength(0);
    }
  });

  it.each(histories)(
    '%s',
    async (file) => {
      await expect(replay(current, file)).resolves.toBeUndefined();
    },
    60_000,
  );

  it('and a workflow that was changed without a patch is found out', async () => {
    const changed = await bundle('changed/index.ts');
    const shard = histories.find((file) => file.endsWith('-rewriteShard.json')) ?? '';
    await expect(replay(changed, shard)).rejects.toThrow(DeterminismViolationError);
  }, 60_000);
});
