// Records the histories of finished workflows for the replay test: node test/replay/record.ts ADDRESS NAME
//
// NAME begins with keyferry's version, for histories are kept: workflows of a release go on under the next one.
import { writeFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const [address = '127.0.0.1:7233', name = ''] = process.argv.slice(2);
const connection = await Connection.connect({ address });
const client = new Client({ connection });
const seen = new Set<string>();
for await (const execution of client.workflow.list()) {
  const { type, workflowId, runId, status } = execution;
  if (status.name !== 'COMPLETED' || seen.has(type) || type === 'preflight') continue;
  seen.add(type);
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const json = JSON.stringify(historyToJSON(history), withoutMachine);
  const file = new URL(`histories/${name}-${type}.json`, import.meta.url);
  writeFileSync(file, `${json}\n`);
  console.log(`${file.pathname}: ${history.events?.length ?? 0} events`);
}
await connection.close();

/** Which process on which machine did it is nobody's business. */
function withoutMachine(key: string, value: unknown): unknown {
  return key === 'identity' || key === 'binaryChecksum' ? 'recorded' : value;
}
