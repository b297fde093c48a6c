import { KeyferryError } from '../src/errors.ts';
import { RotationClient } from '../src/kms-plugin/rotation-client.ts';
import type { Asked, KeyVersions } from '../src/plan/preflight.ts';
import type { PluginKeyInput } from '../workflows/types.ts';

/** What the plugin of a node says of its key's versions, or why its rotation can't be led. */
export async function inspectRotation(node: string, endpoint: string): Promise<Asked<KeyVersions>> {
  try {
    const { announcedKeyId, newestKeyId, announceableKeyId } = await asked(endpoint, (client) =>
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
