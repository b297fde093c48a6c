import { KeyferryError } from '../src/errors.ts';
import { RotationClient } from '../src/kms-plugin/rotation-client.ts';
import type { Asked, KeyVersions, NodeFindings } from '../src/plan/preflight.ts';
import type { PluginKeyInput } from '../workflows/types.ts';

/**
 * Whether the key of one kms entry can be rotated on a node: every migrated resource is sealed by it, at the socket that the
 * spec names, and its plugin lets itself be led.
 */
export async function inspectRotation(
  node: string,
  target: { readonly name: string; readonly endpoint: string },
  resources: NodeFindings['providers'],
): Promise<Asked<KeyVersions>> {
  for (const { resource, providers } of resources) {
    const [writer] = providers;
    if (writer?.type !== 'kms' || writer.name !== target.name) {
      return {
        trouble: {
          message: `the entry kms ${target.name} isn't what writes ${resource} on ${node}`,
          remedy: 'a rotation needs the entry to be the first provider of each resource; else migrate to it',
        },
      };
    }
    if (writer.endpoint !== target.endpoint) {
      return {
        trouble: {
          message: `the entry kms ${target.name} on ${node} is at ${writer.endpoint}, and the spec says ${target.endpoint}`,
          remedy:
            'for a rotation give the endpoint that the entry has; for another plugin give the target a name of its own',
        },
      };
    }
  }
  try {
    const { announcedKeyId, newestKeyId, announceableKeyId } = await asked(target.endpoint, (client) =>
      client.versions(),
    );
    return { answer: { announced: announcedKeyId, newest: announceableKeyId ?? newestKeyId } };
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    const { message, remedy, retryable } = error;
    return { trouble: { message: `the plugin on ${node}: ${message}`, remedy, retryable } };
  }
}

/** @throws KeyferryError of {@link RotationClient.announce} */
export async function announceKey({ endpoint, keyId }: PluginKeyInput): Promise<void> {
  await asked(endpoint, (client) => client.announce(keyId));
}

/** @throws KeyferryError of {@link RotationClient.versions} */
export async function announceableKey({ endpoint, keyId }: PluginKeyInput): Promise<string | undefined> {
  return await asked(endpoint, async (client) => (await client.versions(keyId)).announceableKeyId);
}

async function asked<T>(endpoint: string, question: (client: RotationClient) => Promise<T>): Promise<T> {
  const client = new RotationClient(endpoint);
  try {
    return await question(client);
  } finally {
    client.close();
  }
}
