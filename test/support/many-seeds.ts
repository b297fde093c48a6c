import { readFileSync } from 'node:fs';
import { type Lab } from '../../lab/lab.ts';
import { chainFor } from '../../src/encryption-config/envelope-chain.ts';
import { type EnvelopeChain } from '../../src/envelope/chain.ts';
import { PluginConnections } from '../../src/kms-plugin/connections.ts';
import { askEtcd, storedUnder, type StoredValue } from './etcd.ts';

/** Of etcd, in one transaction. */
const PUTS = 100;

/**
 * Seals every seeded Secret anew in etcd, spread over so many DEK seeds, by the plugin of the lab's one node. Its API server
 * is stopped: one that runs would open each as it is written.
 *
 * @param options - `namespaces`: that were seeded
 * @returns how many seeds it became
 */
export async function sealUnder(lab: Lab, options: { namespaces: number; seeds: number }): Promise<number> {
  const [node = ''] = lab.nodes;
  const file = readFileSync(lab.paths.node(node).encryptionConfiguration, 'utf8');
  const chain = () => {
    const connections = new PluginConnections();
    return { connections, chain: chainFor(file, 'secrets', connections) };
  };
  const reader = chain();
  const share = Math.max(1, Math.round(options.seeds / options.namespaces));
  let used = 0;
  try {
    for (let namespace = 1; namespace <= options.namespaces; namespace++) {
      const values = await storedUnder(lab, `/registry/secrets/seed-${namespace}/`);
      for (let i = 0; i < Math.min(share, values.length); i++) {
        const writer = chain();
        const own = values.filter((_, index) => index % share === i);
        await sealWith(lab, own, reader.chain, writer.chain);
        writer.connections.close();
        used += 1;
      }
    }
  } finally {
    reader.connections.close();
  }
  return used;
}

async function sealWith(
  lab: Lab,
  values: readonly StoredValue[],
  reader: EnvelopeChain,
  writer: EnvelopeChain,
): Promise<void> {
  for (let i = 0; i < values.length; i += PUTS) {
    const success = [];
    for (const { key, value } of values.slice(i, i + PUTS)) {
      const etcdKey = Buffer.from(key);
      const { plaintext } = await reader.open(value, etcdKey);
      const sealed = await writer.seal(plaintext, etcdKey);
      success.push({ requestPut: { key: etcdKey.toString('base64'), value: sealed.toString('base64') } });
    }
    await askEtcd(lab, '/v3/kv/txn', { success });
  }
}
