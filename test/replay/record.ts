// Records the histories of finished workflows for the replay test: node test/replay/record.ts ADDRESS VERSION
//
// One of each kind, and of migrations one of each outcome, by the cluster's own migrator and without it. Those that are there are
// kept: a workflow that a release began goes on under the next one.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { findServer } from '../../lab/servers.ts';
import type { MigrationReport } from '../../workflows/report.ts';
import type { StorageVersionReport } from '../../workflows/storage-version-migration.ts';

const [address = '127.0.0.1:7233', version = ''] = process.argv.slice(2);
const temporal = await findServer('temporal', console.log);
const connection = await Connection.connect({ address });
const client = new Client({ connection });

for await (const { type, workflowId, runId } of client.workflow.list({
  query: `ExecutionStatus = 'Completed'`,
})) {
  if (['preflight', 'storageVersionPreflight'].includes(type)) continue;
  const name = `${version}-${type}${await endOf(type, workflowId, runId)}.json`;
  const file = new URL(`histories/${name}`, import.meta.url);
  if (existsSync(file)) continue;
  const json = execFileSync(
    temporal,
    ['workflow', 'show', '--address', address, '-w', workflowId, '-r', runId, '--output', 'json'],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const history = JSON.parse(json, withoutMachine) as { events: unknown[] };
  writeFileSync(file, `${JSON.stringify(history)}\n`);
  console.log(`${name}: ${history.events.length} events`);
}
await connection.close();

async function endOf(type: string, workflowId: string, runId: string): Promise<string> {
  if (!['migration', 'storageVersionMigration'].includes(type)) return '';
  const result: unknown = await client.workflow.getHandle(workflowId, runId).result();
  const { outcome, native } = result as MigrationReport | StorageVersionReport;
  return `-${outcome}${native === undefined ? '' : '-natively'}`;
}

/** Which process on which machine did it is nobody's business; sticky task queues bear the same name. */
function withoutMachine(_key: string, value: unknown): unknown {
  return typeof value === 'string' && /^[0-9]+@/.test(value) ? 'recorded' : value;
}
