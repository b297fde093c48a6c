import { readFileSync } from 'node:fs';
import { type Client } from '@temporalio/client';

/** A text in which something is looked for, and where it came from. */
export interface Source {
  readonly where: string;
  readonly text: string;
}

/** The whole history of every workflow that a Temporal server knows, as JSON, every payload opened. */
export async function histories(client: Client): Promise<Source[]> {
  const sources: Source[] = [];
  for await (const { workflowId, runId, type } of client.workflow.list()) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    sources.push({ where: `${type} ${workflowId}`, text: JSON.stringify(history, openPayloads) });
  }
  return sources;
}

/** Temporal's database as it lies on the disk, its write-ahead log too: what no API shows is there as well. */
export function databaseOf(file: string): Source[] {
  return [file, `${file}-wal`].flatMap((path) => {
    try {
      return [{ where: path, text: readFileSync(path).toString('latin1') }];
    } catch {
      return [];
    }
  });
}

/** A payload's bytes come as base64; as text, what it holds can be found in it. */
function openPayloads(key: string, value: unknown): unknown {
  return key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : value;
}
