import { etcdUrl } from '../../lab/etcd.ts';
import { HttpClient } from '../../lab/http.ts';
import { type Lab } from '../../lab/lab.ts';

/** A value as etcd has it. */
export interface StoredValue {
  readonly key: string;
  readonly value: Buffer;
  readonly modRevision: number;
  /** How often it was written since it was made. */
  readonly version: number;
}

interface RangeAnswer {
  readonly kvs?: { key: string; value: string; mod_revision: string; version: string }[];
}

/** Reads all that lies under a prefix, through etcd's JSON gateway: no code of keyferry's is asked. */
export async function storedUnder(lab: Lab, prefix: string): Promise<StoredValue[]> {
  const end = Buffer.from(prefix);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  const client = new HttpClient(etcdUrl(lab.config), { timeoutMs: 60_000 });
  try {
    const answer = await client.expect('POST', '/v3/kv/range', {
      key: Buffer.from(prefix).toString('base64'),
      range_end: end.toString('base64'),
    });
    return ((JSON.parse(answer.text) as RangeAnswer).kvs ?? []).map((kv) => ({
      key: Buffer.from(kv.key, 'base64').toString('utf8'),
      value: Buffer.from(kv.value, 'base64'),
      modRevision: Number(kv.mod_revision),
      version: Number(kv.version),
    }));
  } finally {
    client.close();
  }
}

/** Every Secret and ConfigMap. */
export async function migratedValues(lab: Lab): Promise<StoredValue[]> {
  return [
    ...(await storedUnder(lab, '/registry/secrets/')),
    ...(await storedUnder(lab, '/registry/configmaps/')),
  ];
}

/** How many values there are of each format: `k8s:enc:aescbc:v1:key1:`, `k8s:enc:kms:v2:vault:`, `plain`. */
export function formats(values: readonly StoredValue[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { value } of values) {
    const prefix =
      /^k8s:enc:[a-z]+:v[0-9]:[^:]+:/.exec(value.subarray(0, 100).toString('latin1'))?.[0] ?? 'plain';
    counts[prefix] = (counts[prefix] ?? 0) + 1;
  }
  return counts;
}

export const SOURCE_FORMAT = 'k8s:enc:aescbc:v1:key1:';
export const TARGET_FORMAT = 'k8s:enc:kms:v2:vault:';

/** Puts a value into etcd behind the API servers' backs. */
export async function store(lab: Lab, key: string, value: Buffer): Promise<void> {
  const client = new HttpClient(etcdUrl(lab.config));
  try {
    await client.expect('POST', '/v3/kv/put', {
      key: Buffer.from(key).toString('base64'),
      value: value.toString('base64'),
    });
  } finally {
    client.close();
  }
}
