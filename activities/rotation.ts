import { withRotation } from '../src/kms-plugin/rotation-client.ts';
import type { Asked, KeyVersions } from '../src/plan/preflight.ts';
import type { PluginKeyInput } from '../workflows/types.ts';
import { asked } from './asked.ts';

/** What a node's plugin says of its key's versions, or why its rotation can't be led. */
export function inspectRotation(endpoint: string): Promise<Asked<KeyVersions>> {
  return asked(async () => {
    const versions = await withRotation(endpoint, (client) => client.versions());
    const { announcedKeyId, newestKeyId, announceableKeyId } = versions;
    return { announced: announcedKeyId, newest: announceableKeyId ?? newestKeyId };
  });
}

/** @throws KeyferryError of {@link RotationClient.announce} */
export async function announceKey({ endpoint, keyId }: PluginKeyInput): Promise<void> {
  await withRotation(endpoint, (client) => client.announce(keyId));
}

/** @throws KeyferryError of {@link RotationClient.versions} */
export async function announceableKey({ endpoint, keyId }: PluginKeyInput): Promise<string | undefined> {
  return (await withRotation(endpoint, (client) => client.versions(keyId))).announceableKeyId;
}
