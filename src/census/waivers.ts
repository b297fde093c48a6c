import type { Cluster } from '../cluster/cluster.ts';
import { loadedConfiguration } from '../cluster/convergence.ts';
import { explain, isUnreadable } from '../cluster/refusal.ts';
import { objectKey, type Resource } from '../cluster/resources.ts';
import { KeyferryError } from '../errors.ts';
import type { WaiverVerdict } from '../plan/waivers.ts';
import { readOne } from './reads.ts';

/**
 * Asks every API server whether it can read an object that a person waived. Only a value that none of them can read may
 * be left behind: any other would be lost with its key. It is for the caller to see that they have both providers.
 *
 * @throws KeyferryError retryable, while a server or its kms plugins don't answer: then nothing is shown
 */
export async function judgeWaiver(
  { etcd, apiServers }: Cluster,
  resource: Resource,
  object: { namespace?: string; name: string },
): Promise<WaiverVerdict> {
  const key = objectKey(resource, object);
  // Before the servers are asked: a value that is written meanwhile is another one.
  const entry = await etcd.get(key);
  if (entry === undefined) return { holds: false, why: 'it is gone' };
  let found = '';
  for (const server of apiServers) {
    const { kmsReady, kmsDetail } = await loadedConfiguration(server);
    if (!kmsReady) {
      throw new KeyferryError(
        'UnavailableKmsProviders',
        `whether ${server.name} can read ${key} can't be told while its kms providers aren't ready: ${kmsDetail}`,
        { remedy: 'mend the plugin', retryable: true },
      );
    }
    const response = await readOne(server, resource, object);
    if (response.status === 200) {
      return { holds: false, why: `${server.name} can read it: mend it, or delete it` };
    }
    const { reason, remedy } = explain(response);
    if (!isUnreadable(response)) {
      return {
        holds: false,
        why: `${server.name} answers ${response.status} (${reason}), which doesn't show that it can't be read: ${remedy}`,
      };
    }
    found = `${response.status} ${reason}`;
  }
  return { holds: true, key, modRevision: entry.modRevision, found };
}
