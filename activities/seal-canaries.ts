import { randomBytes, randomUUID } from 'node:crypto';
import { canary, canaryKey, canaryObject } from '../src/cluster/canary.ts';
import { withSecret } from '../src/encryption-config/index.ts';
import { sealKmsV2 } from '../src/envelope/kms-v2.ts';
import { identityProvider, localProvider } from '../src/envelope/providers.ts';
import { KeyferryError } from '../src/errors.ts';
import { KmsPluginClient, type PluginCiphertext } from '../src/kms-plugin/client.ts';
import { withRotation } from '../src/kms-plugin/rotation-client.ts';
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
  { target, rotateTo, namespace, resources, purpose, nonce }: SealCanariesInput,
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
  if (entry.type === 'kms') {
    const { name, endpoint } = entry;
    const sealSeed = rotateTo === undefined ? asAnnounced(node, endpoint) : underVersion(rotateTo, endpoint);
    return await sealByPlugin(name, sealSeed, sealAll);
  }
  const provider =
    entry.type === 'identity'
      ? identityProvider()
      : localProvider(entry.type, entry.keyName, Buffer.from(entry.secret, 'base64'));
  return { values: await sealAll((plaintext, etcdKey) => provider.seal(plaintext, Buffer.from(etcdKey))) };
}

/** Has a plugin seal a DEK seed. */
type SealSeed = (seed: Buffer) => Promise<PluginCiphertext>;

async function sealByPlugin(
  name: string,
  sealSeed: SealSeed,
  sealAll: (seal: Seal) => Promise<string[]>,
): Promise<SealCanariesResult> {
  const seed = randomBytes(32);
  try {
    const { ciphertext, keyId, annotations } = await sealSeed(seed);
    const values = await sealAll((plaintext, etcdKey) =>
      sealKmsV2({
        providerName: name,
        etcdKey,
        plaintext,
        seed,
        keyId,
        encryptedDekSource: ciphertext,
        annotations,
      }),
    );
    return { keyId, values };
  } finally {
    seed.fill(0);
  }
}

/** As an API server has it sealed: under the key id that Status names. */
function asAnnounced(node: string, endpoint: string): SealSeed {
  return async (seed) => {
    const client = new KmsPluginClient(endpoint);
    try {
      const { keyId } = await client.status();
      const sealed = await client.encrypt(seed, randomUUID());
      if (sealed.keyId === keyId) return sealed;
      throw new KeyferryError(
        'PluginKeyIdChanged',
        `the plugin on ${node} changed its key id while it sealed`,
        { remedy: 'keyferry tries again', retryable: true },
      );
    } finally {
      client.close();
    }
  };
}

/** Under a version that isn't announced yet. */
function underVersion(keyId: string, endpoint: string): SealSeed {
  return (seed) => withRotation(endpoint, (client) => client.seal(keyId, seed, randomUUID()));
}
