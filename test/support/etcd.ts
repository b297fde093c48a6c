import { setTimeout as sleep } from 'node:timers/promises';
import { clientUrl, etcdHttp, etcdMemberOf, etcdUrls } from '../../lab/etcd.ts';
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
  readonly kvs?: { key: string; value?: string; mod_revision: string; version: string }[];
}

/**
 * Asks etcd through its JSON gateway: no code of keyferry's is asked.
 *
 * @param endpoints - asked in turn until one answers; all members unless given
 */
export async function askEtcd(
  lab: Lab,
  path: string,
  body: object,
  endpoints: readonly string[] = etcdUrls(lab.config),
): Promise<unknown> {
  const silent: unknown[] = [];
  for (const endpoint of endpoints) {
    const client = etcdHttp(lab.config, endpoint, 60_000);
    try {
      return JSON.parse((await client.expect('POST', path, body)).text) as unknown;
    } catch (error) {
      silent.push(error);
    } finally {
      client.close();
    }
  }
  throw new AggregateError(silent, `no member of etcd answered to ${path}`);
}

/** Reads all that lies under a prefix. */
export async function storedUnder(lab: Lab, prefix: string): Promise<StoredValue[]> {
  const end = Buffer.from(prefix);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  const answer = await askEtcd(lab, '/v3/kv/range', {
    key: Buffer.from(prefix).toString('base64'),
    range_end: end.toString('base64'),
  });
  return ((answer as RangeAnswer).kvs ?? []).map((kv) => ({
    key: Buffer.from(kv.key, 'base64').toString('utf8'),
    value: Buffer.from(kv.value ?? '', 'base64'),
    modRevision: Number(kv.mod_revision),
    version: Number(kv.version),
  }));
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
  await askEtcd(lab, '/v3/kv/put', {
    key: Buffer.from(key).toString('base64'),
    value: value.toString('base64'),
  });
}

export interface Compacting {
  /** How often etcd's history was thrown away so far. */
  readonly times: number;
  stop(): Promise<void>;
}

/** Throws all of etcd's history away again and again: nothing but the newest revision can be read. */
export function keepCompacting(lab: Lab, everyMs: number): Compacting {
  const stopping = new AbortController();
  let times = 0;
  const compacting = (async () => {
    while (!stopping.signal.aborted) {
      times += await compact(lab).catch(() => 0);
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    get times() {
      return times;
    },
    stop: async () => {
      stopping.abort();
      await compacting;
    },
  };
}

/** Writes beside all objects, and throws all of etcd's history before that away: whoever listed by now can't go on. */
export async function outdateAll(lab: Lab): Promise<void> {
  const put = { key: Buffer.from('/outdated').toString('base64'), value: '' };
  const { header } = (await askEtcd(lab, '/v3/kv/put', put)) as { header: { revision: string } };
  await askEtcd(lab, '/v3/kv/compaction', { revision: header.revision });
}

/** @returns 1, the number of compactions; an API server that compacts too may have been faster, which is an error */
async function compact(lab: Lab): Promise<number> {
  const { header } = (await askEtcd(lab, '/v3/maintenance/status', {})) as { header: { revision: string } };
  await askEtcd(lab, '/v3/kv/compaction', { revision: header.revision, physical: true });
  return 1;
}

interface MemberStatus {
  readonly header: { readonly member_id: string };
  readonly leader: string;
}

async function statusOf(lab: Lab, name: string): Promise<MemberStatus> {
  const endpoint = clientUrl(lab.config, etcdMemberOf(lab.config, name));
  return (await askEtcd(lab, '/v3/maintenance/status', {}, [endpoint])) as MemberStatus;
}

/** The member that leads, by the name of its process. */
export async function leaderOf(lab: Lab): Promise<string> {
  for (const { name } of lab.config.etcd.members) {
    const status = await statusOf(lab, name).catch(() => undefined);
    if (status !== undefined && status.leader === status.header.member_id) return name;
  }
  throw new Error('no member of etcd leads');
}

/** Hands the lead to another member, as an operator does before maintenance. */
export async function moveLeader(lab: Lab, to: string): Promise<void> {
  const endpoint = clientUrl(lab.config, etcdMemberOf(lab.config, await leaderOf(lab)));
  const { header } = await statusOf(lab, to);
  await askEtcd(lab, '/v3/maintenance/transfer-leadership', { targetID: header.member_id }, [endpoint]);
}

/** Rewrites the database file of one member, which answers nothing meanwhile. */
export async function defragment(lab: Lab, name: string): Promise<void> {
  await askEtcd(lab, '/v3/maintenance/defragment', {}, [
    clientUrl(lab.config, etcdMemberOf(lab.config, name)),
  ]);
}

/** Removes a key from etcd behind the API servers' backs. */
export async function remove(lab: Lab, key: string): Promise<void> {
  await askEtcd(lab, '/v3/kv/deleterange', { key: Buffer.from(key).toString('base64') });
}
