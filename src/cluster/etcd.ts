import { readFileSync } from 'node:fs';
import { Etcd3, type IKeyValue, type ITxnRequest, type ITxnResponse } from 'etcd3';
import { KeyferryError, messageOf } from '../errors.ts';
import type { EtcdSpec } from '../spec/migration.ts';

/** Values of up to 1.5 MiB, a page of them, and room; gRPC's own default is 4 MiB. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
const DEADLINE_MS = 30_000;

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

/** etcd behind the API servers, with deadlines; keys are text, as kube-apiserver's are. */
export class EtcdClient {
  readonly #client: Etcd3;
  readonly #endpoints: string;

  /** @throws KeyferryError `FileEtcdTls` when a certificate file can't be read */
  constructor(spec: EtcdSpec) {
    this.#endpoints = spec.endpoints.join(', ');
    this.#client = new Etcd3({
      hosts: spec.endpoints,
      dialTimeout: 5_000,
      ...credentialsOf(spec),
      grpcOptions: {
        'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
        'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
        'grpc.keepalive_time_ms': 30_000,
        'grpc.keepalive_timeout_ms': 10_000,
      },
      defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + DEADLINE_MS }),
    });
  }

  /** A page of a range in key order, at etcd's newest revision: so a compaction never gets in the way. */
  async range(query: RangeQuery): Promise<EtcdPage> {
    const response = await this.#call('range', () =>
      this.#client.kv.range({
        key: Buffer.from(query.start),
        range_end: Buffer.from(query.end),
        limit: query.limit,
        keys_only: query.keysOnly ?? false,
        ...(query.minModRevision === undefined ? {} : { min_mod_revision: query.minModRevision }),
      }),
    );
    return {
      entries: response.kvs.map(entryOf),
      more: response.more,
      revision: Number(response.header.revision),
    };
  }

  /** How many keys a range holds. */
  async count(start: string, end: string): Promise<{ count: number; revision: number }> {
    const response = await this.#call('count', () =>
      this.#client.kv.range({ key: Buffer.from(start), range_end: Buffer.from(end), count_only: true }),
    );
    return { count: Number(response.count), revision: Number(response.header.revision) };
  }

  async get(key: string): Promise<EtcdEntry | undefined> {
    const response = await this.#call('get', () => this.#client.kv.range({ key: Buffer.from(key) }));
    const kv = response.kvs[0];
    return kv === undefined ? undefined : entryOf(kv);
  }

  /** Whether etcd has compacted everything older than a revision away. */
  async compactedPast(revision: number): Promise<boolean> {
    try {
      await this.#client.kv.range({ key: Buffer.from('/'), count_only: true, revision });
      return false;
    } catch (error) {
      if (messageOf(error).includes('required revision has been compacted')) return true;
      throw this.#explained('ask etcd for an old revision', error);
    }
  }

  async txn(request: ITxnRequest): Promise<ITxnResponse> {
    return await this.#call('write', () => this.#client.kv.txn(request));
  }

  /** Bytes of the database, of what is in use, and the alarms that are raised, of the member that answered. */
  async status(): Promise<{ version: string; dbSize: number; alarms: string[] }> {
    const status = await this.#call('status', () => this.#client.maintenance.status());
    const alarms = await this.#call('alarms', () => this.#client.maintenance.alarm({ action: 'Get' }));
    return {
      version: status.version,
      dbSize: Number(status.dbSize),
      alarms: alarms.alarms.map((one) => one.alarm),
    };
  }

  close(): void {
    this.#client.close();
  }

  async #call<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw this.#explained(what, error);
    }
  }

  #explained(what: string, error: unknown): KeyferryError {
    return new KeyferryError(
      'UnreachableEtcd',
      `etcd (${this.#endpoints}) did not answer (${what}): ${messageOf(error)}`,
      {
        remedy: 'check that etcd runs and that the endpoints and certificates in the spec are right',
        retryable: true,
        cause: error,
      },
    );
  }
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

function credentialsOf(spec: EtcdSpec) {
  if (spec.tls === undefined) return {};
  try {
    return {
      credentials: {
        rootCertificate: readFileSync(spec.tls.caFile),
        certChain: readFileSync(spec.tls.certFile),
        privateKey: readFileSync(spec.tls.keyFile),
      },
    };
  } catch (error) {
    throw new KeyferryError('FileEtcdTls', `etcd's certificate files can't be read: ${messageOf(error)}`, {
      remedy: 'name files under spec.cluster.etcd.tls that this machine can read',
      cause: error,
    });
  }
}
