import { randomFillSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Lab } from '../../lab/lab.ts';
import { ensureNamespace } from '../../lab/seed.ts';
import { chainFor } from '../../src/encryption-config/index.ts';
import type { EnvelopeChain } from '../../src/envelope/chain.ts';
import { PluginConnections } from '../../src/kms-plugin/connections.ts';
import { BareEtcd, type Put } from './bare-etcd.ts';

/** Of an object's data, before it is sealed. */
export const OBJECT_BYTES = 1_024;
export const NAMESPACES = 10;

const PUTS = 128;
const LANES = 4;

export function namespaceOf(index: number): string {
  return `bench-${index % NAMESPACES}`;
}

/** Of the same length for all, so that a template fits each. */
export function nameOf(index: number): string {
  return `secret-${String(index).padStart(7, '0')}`;
}

/**
 * Puts Secrets of 1 KiB straight into etcd, sealed as the first node's API server would seal them: 100,000 by way of an API
 * server would take minutes. One is made through the API server; the others have its bytes, with a name, a namespace, a uid
 * and data of their own. API servers are down meanwhile, for each would follow every write.
 */
export async function fillSecrets(lab: Lab, count: number): Promise<void> {
  const template = await templateOf(lab);
  for (const node of lab.nodes) await lab.stop(`${node}.apiserver`);
  const etcd = new BareEtcd(lab);
  const { chain, close } = chainOf(lab);
  try {
    let next = 0;
    const lane = async () => {
      while (next < count) {
        const first = next;
        next = Math.min(count, first + PUTS);
        const puts: Put[] = [];
        for (let i = first; i < Math.min(count, first + PUTS); i += 1) {
          const key = Buffer.from(`/registry/secrets/${namespaceOf(i)}/${nameOf(i)}`);
          puts.push({ key, value: await chain.seal(template(i), key) });
        }
        await etcd.put(puts);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    close();
    etcd.close();
  }
  for (const node of lab.nodes) await lab.start(`${node}.apiserver`);
}

/** What the first node's API server reads and writes Secrets with. */
export function chainOf(lab: Lab): { chain: EnvelopeChain; close: () => void } {
  const [node = ''] = lab.nodes;
  const connections = new PluginConnections();
  const file = readFileSync(lab.paths.node(node).encryptionConfiguration, 'utf8');
  return { chain: chainFor(file, 'secrets', connections), close: () => connections.close() };
}

/** Has one Secret made, and answers with how others are made of its bytes. */
async function templateOf(lab: Lab): Promise<(index: number) => Buffer> {
  const api = lab.api();
  const etcd = new BareEtcd(lab);
  const { chain, close } = chainOf(lab);
  const marker = Buffer.alloc(OBJECT_BYTES, 'keyferry-bench-');
  const uid = /"uid": ?"([^"]+)"/;
  try {
    for (let i = 0; i < NAMESPACES; i += 1) await ensureNamespace(api, namespaceOf(i));
    const path = `/api/v1/namespaces/${namespaceOf(0)}/secrets`;
    const made = await api.expect('POST', path, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: nameOf(0) },
      data: { value: marker.toString('base64') },
    });
    const key = Buffer.from(`/registry/secrets/${namespaceOf(0)}/${nameOf(0)}`);
    const { plaintext } = await chain.open(await etcd.get(key), key);
    const places = {
      name: placeOf(plaintext, nameOf(0)),
      namespace: placeOf(plaintext, namespaceOf(0)),
      uid: placeOf(plaintext, uid.exec(made.text)?.[1] ?? ''),
      data: placeOf(plaintext, marker),
    };
    return (index) => {
      const bytes = Buffer.from(plaintext);
      bytes.write(nameOf(index), places.name);
      bytes.write(namespaceOf(index), places.namespace);
      bytes.write(randomUUID(), places.uid);
      randomFillSync(bytes, places.data, OBJECT_BYTES);
      return bytes;
    };
  } finally {
    close();
    etcd.close();
    api.close();
  }
}

/** Where the only occurrence begins. */
function placeOf(bytes: Buffer, what: string | Buffer): number {
  const at = bytes.indexOf(what);
  if (at < 0 || what.length === 0 || bytes.indexOf(what, at + 1) >= 0) {
    throw new Error('the Secret that was made through the API server has not the bytes that were expected');
  }
  return at;
}
