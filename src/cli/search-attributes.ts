import type { Client } from '@temporalio/client';
import { KEYFERRY_CLUSTER, KEYFERRY_PHASE } from '../../workflows/search-attributes.ts';

/** Whether the server knows keyferry's search attributes: upserting unknown ones would wedge a workflow. */
export async function hasSearchAttributes(client: Client, namespace: string): Promise<boolean> {
  try {
    const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
    return [KEYFERRY_PHASE, KEYFERRY_CLUSTER].every(({ name }) => name in customAttributes);
  } catch {
    // A server that doesn't let us ask is one that gets none.
    return false;
  }
}
