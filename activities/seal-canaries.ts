import { randomBytes, randomUUID } from 'node:crypto';
import { canary, canaryKey, canaryObject } from '../src/cluster/canary.ts';
import { withSecret, type ProviderEntry } from '../src/encryption-config/index.ts';
import { sealKmsV2 } from '../src/envelope/kms-v2.ts';
import { identityProvider, localProvider } from '../src/envelope/providers.ts';
import { KeyferryError } from '../src/errors.ts';
import { KmsPluginClient } from '../src/kms-plugin/client.ts';
import type { SealCanariesInput, SealCanariesResult } from '../workflows/types.ts';

/** Seals one value for a key of etcd. */
type Seal = (plaintext: Buffer, etcdKey: string) => Promise<Buffer> | Buffer;

/**
 * Seals a canary of each resource as an API server of this node would that writes with the target.
 *
 * @throws KeyferryError `PluginKeyIdChanged`, retryable, and what the plugin or the file of the target's key throws
 */
export async function sealCanaries(
  node: string,
  { target, namespace, resources, purpose, nonce }: SealCanariesInput,
): Promise<SealCanariesResult> {
  const sealAll = async (seal: Seal): Promise<string[]> =>
    await Promise.all(
      resources.map(async (resource) => {
        const one = canary(resource, namespace, purpose, nonce);
        // The storage decoder of kube-apiserver reads JSON as well as protobuf.
        const sealed = await seal(Buffer.from(JSON.stringify(canaryObject(one))), canaryKey(one));
        return sealed.toString('base64');
      }),
    );
  const entry = await withSecret(target);
  if (entry.type === 'kms') return await sealByPlugin(node, entry, sealAll);
  const provider =
    entry.type === 'identity'
      ? identityProvider()
      : localProvider(entry.type, entry.keyName, Buffer.from(entry.secret, 'base64'));
  return { values: await sealAll((plaintext, etcdKey) => provider.seal(plaintext, Buffer.from(etcdKey))) };
}

async function sealByPlugin(
  node: string,
  target: Extract<ProviderEntry, { type: 'kms' }>,
  sealAll: (seal: Seal) => Promise<string[]>,
): Promise<SealCanariesResult> {
  const client = new KmsPluginClient(target.endpoint);
  const seed = randomBytes(32);
  try {
    const { keyId } = await client.status();
    const sealedSeed = await client.encrypt(seed, randomUUID());
    if (sealedSeed.keyId !== keyId) {
      throw new KeyferryError(
        'PluginKeyIdChanged',
        `the plugin on ${node} changed its key id while it sealed`,
        { remedy: 'keyferry tries again', retryable: true },
      );
    }
    const values = await sealAll((plaintext, etcdKey) =>
      sealKmsV2({
        providerName: target.name,
        etcdKey,
        plaintext,
        seed,
        keyId,
        encryptedDekSource: sealedSeed.ciphertext,
        annotations: sealedSeed.annotations,
      }),
    );
    return { keyId, values };
  } finally {
    seed.fill(0);
    client.close();
  }
}
