import type { IKeyValue, ITxnRequest, ITxnResponse } from 'etcd3';
import { KeyferryError } from '../errors.ts';
import { EtcdMembers, type EtcdAccess } from './etcd-members.ts';

/** One key of etcd. `value` is empty where only keys were asked for. */
export interface EtcdEntry {
  key: string;
  value: Buffer;
  /** etcd revisions are 64 bit; they stay far below 2^53 in any cluster's life. */
  modRevision: number;
}

export interface EtcdPage {
  entries: EtcdEntry[];
  /** Whether the range holds more. */
  more: boolean;
  /** Keys of the whole range. */
  count: number;
  /** etcd's revision when it answered. */
  revision: number;
}

export interface RangeQuery {
  /** First key, inclusive. */
  start: string;
  /** Where the range ends, exclusive. */
  end: string;
  limit: number;
  keysOnly?: boolean;
  /**
   * Only keys that were written at this revision or later; compacted or not, for what is asked is the newest revision.
   * etcd loads the whole range to answer, and only then counts the limit (its executeRange): keep the range short.
   */
  minModRevision?: number;
}

/** What one member says of itself, or why it said nothing. */
export type EtcdMember = { endpoint: string } & (
  | {
      version: string;
      /** Bytes of its database file, and of what in it is in use. */
      dbSize: number;
      dbInUse: number;
      leads: boolean;
    }
  | { silent: string }
);

export interface EtcdStatus {
  members: EtcdMember[];
  /** The lowest version and the largest database of those that answered. */
  version: string;
  dbSize: number;
  /** `NOSPACE (member 8e9e05c52164694d)`: of all members, also of those that are silent. */
  alarms: string[];
}

/**
 * etcd behind the API servers; keys are text, as kube-apiserver's are.
 *
 * Reads are linearizable: a member that lags catches up before it answers, and one that has lost the others doesn't. They are
 * repeated within a call, writes never.
 */
export class EtcdClient {
  readonly #members: EtcdMembers;

  /** @throws KeyferryError `FileEtcdTls` when a certificate file can't be read */
  constructor(spec: EtcdAccess) {
    this.#members = new EtcdMembers(spec);
  }

  /** A page of a range in key order, at etcd's newest revision: so a compaction never gets in the way. */
  async range(query: RangeQuery): Promise<EtcdPage> {
    const request = {
      key: Buffer.from(query.start),
      range_end: Buffer.from(query.end),
      limit: query.limit,
      keys_only: query.keysOnly ?? false,
      ...(query.minModRevision === undefined ? {} : { min_mod_revision: query.minModRevision }),
    };
    const response = await this.#members.read('range', ({ kv }, options) => kv.range(request, options));
    return {
      entries: response.kvs.map(entryOf),
      more: response.more,
      count: Number(response.count),
      revision: Number(response.header.revision),
    };
  }

  /** How many keys a range holds. */
  async count(start: string, end: string): Promise<{ count: number; revision: number }> {
    const request = { key: Buffer.from(start), range_end: Buffer.from(end), count_only: true };
    const response = await this.#members.read('count', ({ kv }, options) => kv.range(request, options));
    return { count: Number(response.count), revision: Number(response.header.revision) };
  }

  async get(key: string): Promise<EtcdEntry | undefined> {
    const request = { key: Buffer.from(key) };
    const response = await this.#members.read('get', ({ kv }, options) => kv.range(request, options));
    const kv = response.kvs[0];
    return kv === undefined ? undefined : entryOf(kv);
  }

  /**
   * Whether everything older than a revision is compacted away, in each member that answers: one that lags still feeds old
   * values to the watches of its API server. A member that is silent is left out.
   */
  async compactedPast(revision: number): Promise<boolean> {
    // Serializable: from what this very member has, whatever the others know.
    const request = { key: Buffer.from('/'), count_only: true, revision, serializable: true };
    const members = await this.#members.each(({ kv }, options) => kv.range(request, options));
    const why = new Map<string, string>();
    for (const member of members) {
      if ('answer' in member) return false;
      const said = member.error.message;
      if (said.includes('required revision is a future revision')) return false;
      if (!said.includes('required revision has been compacted')) why.set(member.endpoint, said);
    }
    if (why.size === members.length) throw this.#members.unanswered('ask for an old revision', why);
    return true;
  }

  /**
   * @throws KeyferryError `UnreachableEtcd`, retryable, also when the transaction may have been done: the caller must be able
   * to tell, or to do it twice; `TooLargeForEtcd`
   */
  async txn(request: ITxnRequest): Promise<ITxnResponse> {
    return await this.#members.write('write', ({ kv }, options) => kv.txn(request, options));
  }

  /**
   * What every member says of itself, and the alarms of all.
   *
   * @throws KeyferryError `UnreachableEtcd` when none answers; `ForeignEtcd` when they aren't members of one cluster
   */
  async status(): Promise<EtcdStatus> {
    const clusters = new Map<string, string>();
    const silent = new Map<string, string>();
    const members: EtcdMember[] = [];
    for (const one of await this.#members.each(({ maintenance }, options) => maintenance.status(options))) {
      if ('error' in one) {
        silent.set(one.endpoint, one.error.message);
        members.push({ endpoint: one.endpoint, silent: one.error.message });
        continue;
      }
      const { header, version, dbSize, dbSizeInUse, leader } = one.answer;
      clusters.set(one.endpoint, BigInt(header.cluster_id).toString(16));
      members.push({
        endpoint: one.endpoint,
        version,
        dbSize: Number(dbSize),
        dbInUse: Number(dbSizeInUse),
        leads: leader === header.member_id,
      });
    }
    if (clusters.size === 0) throw this.#members.unanswered('status', silent);
    refuseStrangers(clusters);
    // Raised alarms are agreed on: whichever member answers knows those of all.
    const { alarms } = await this.#members.read('alarms', ({ maintenance }, options) =>
      maintenance.alarm({ action: 'Get' }, options),
    );
    const answered = members.filter((member) => 'version' in member);
    return {
      members,
      version: answered.map(({ version }) => version).sort(byVersion)[0] ?? '',
      dbSize: Math.max(...answered.map(({ dbSize }) => dbSize)),
      alarms: alarms.map(({ alarm, memberID }) => `${alarm} (member ${BigInt(memberID).toString(16)})`),
    };
  }

  /**
   * Gives the file system back what is free in a member's file. It answers nobody meanwhile: some seconds for each gigabyte
   * that is in use.
   *
   * @throws KeyferryError `UnreachableEtcd`, retryable
   */
  async defragment(endpoint: string, withinMs: number): Promise<void> {
    await this.#members.one(endpoint, 'defragment', withinMs, ({ maintenance }, options) =>
      maintenance.defragment(options),
    );
  }

  /**
   * Does something while a key is there that nobody else may have put. It has a lease: whoever dies gives it back.
   *
   * @param withinMs - milliseconds after which others may do it, whatever has become of this one
   * @returns undefined where somebody else has the key
   */
  async alone<T>(key: string, withinMs: number, deed: () => Promise<T>): Promise<T | undefined> {
    const grant = { TTL: Math.ceil(withinMs / 1000) };
    const { ID: lease } = await this.#members.write('lease', ({ leaseClient }, options) =>
      leaseClient.leaseGrant(grant, options),
    );
    try {
      const { succeeded } = await this.txn({
        compare: [{ key: Buffer.from(key), target: 'Create', result: 'Equal', create_revision: 0 }],
        success: [{ request_put: { key: Buffer.from(key), value: Buffer.from('1'), lease } }],
      });
      return succeeded ? await deed() : undefined;
    } finally {
      // Where it isn't answered, the lease ends by itself.
      await this.#members
        .write('lease', ({ leaseClient }, options) => leaseClient.leaseRevoke({ ID: lease }, options))
        .catch(() => undefined);
    }
  }

  close(): void {
    this.#members.close();
  }
}

/** @param clusters - the id of the cluster that each endpoint belongs to */
function refuseStrangers(clusters: ReadonlyMap<string, string>): void {
  if (new Set(clusters.values()).size < 2) return;
  const each = [...clusters].map(([endpoint, id]) => `${endpoint} to ${id}`);
  throw new KeyferryError(
    'ForeignEtcd',
    `the etcd endpoints belong to different clusters: ${each.join(', ')}`,
    {
      remedy: 'name only the members of the etcd behind these API servers under spec.cluster.etcd.endpoints',
    },
  );
}

function byVersion(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** The key right after another, to go on behind it. */
export function after(key: string): string {
  return `${key}\0`;
}

/** The end of the range of all keys that begin with a prefix, which must end in '/'. */
export function endOfPrefix(prefix: string): string {
  // '0' is the byte after '/'.
  return `${prefix.slice(0, -1)}0`;
}

function entryOf(kv: IKeyValue): EtcdEntry {
  return { key: kv.key.toString('utf8'), value: kv.value, modRevision: Number(kv.mod_revision) };
}
