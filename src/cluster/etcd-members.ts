import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOptions } from '@grpc/grpc-js';
import { Etcd3, isRecoverableError, type IOptions } from 'etcd3';
import { KeyferryError, messageOf } from '../errors.ts';
import type { EtcdSpec } from '../spec/migration.ts';

/** Values of up to 1.5 MiB, a page of them, and room; gRPC's own default is 4 MiB. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** What a member may send before it has to wait for a word: a page. HTTP/2's own default is 64 KiB. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** A call's, with all its attempts. */
const DEADLINE_MS = 30_000;
/** etcd itself gives a request up after 7 s (at its usual election timeout): a member that is silent for longer is stuck. */
const ATTEMPT_MS = 10_000;
const ROUNDS = 5;
/** After the first round; doubled after each. */
const PAUSE_MS = 200;

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

const nothing = () => ({ dispose: () => undefined });
/** etcd3's own fault handling, turned off: it would repeat writes too, and doesn't say which member it asked. */
const ONCE = {
  execute: async <T>(call: (context: { signal: AbortSignal }) => PromiseLike<T> | T) =>
    await call({ signal: new AbortController().signal }),
  onSuccess: nothing,
  onFailure: nothing,
} as unknown as Policy;

/** How a client gets to etcd. */
export type EtcdAccess = Omit<EtcdSpec, 'defragment'>;

interface Member {
  readonly endpoint: string;
  readonly client: Etcd3;
}

export type Ask<T> = (client: Etcd3, options: CallOptions) => Promise<T>;

/** What one member answered, or why it didn't. */
export type MemberAnswer<T> = { endpoint: string } & ({ answer: T } | { error: Error });

/** The members of one etcd: one is asked, and another when it doesn't answer. */
export class EtcdMembers {
  readonly #members: readonly Member[];
  /** Where the next call begins. Any at first, so that many clients ask many members; then the one that answered. */
  #at: number;

  /** @throws KeyferryError `FileEtcdTls` when a certificate file can't be read */
  constructor(spec: EtcdAccess) {
    const credentials = credentialsOf(spec);
    this.#members = spec.endpoints.map((endpoint) => ({ endpoint, client: clientOf(endpoint, credentials) }));
    this.#at = Math.floor(Math.random() * this.#members.length);
  }

  /**
   * Asks until a member answers: each in turn, and again after a pause, for an election takes a second or two. Only for what
   * may be done twice.
   *
   * @param what - as it reads in `did not answer (range)`
   * @throws KeyferryError `UnreachableEtcd`, retryable
   */
  async read<T>(what: string, ask: Ask<T>): Promise<T> {
    const why = new Map<string, string>();
    const deadline = Date.now() + DEADLINE_MS;
    for (let round = 0; ; round += 1) {
      for (const [at, { endpoint, client }] of this.#inTurn()) {
        try {
          const answer = await ask(client, attempt(deadline - Date.now()));
          this.#at = at;
          return answer;
        } catch (error) {
          why.set(endpoint, messageOf(error));
          const again = isRecoverableError(asError(error)) && Date.now() < deadline;
          if (!again) throw this.unanswered(what, why, error);
        }
      }
      if (round + 1 === ROUNDS) throw this.unanswered(what, why);
      await sleep(PAUSE_MS * 2 ** round * (0.75 + Math.random() / 2));
    }
  }

  /**
   * Sends once; to another member only what was never sent.
   *
   * @throws KeyferryError `UnreachableEtcd`, retryable, also when it may have been done: the caller must be able to tell, or
   * to do it twice; `TooLargeForEtcd` for what is above the members' limit of a request
   */
  async write<T>(what: string, send: Ask<T>): Promise<T> {
    const why = new Map<string, string>();
    for (const [at, { endpoint, client }] of this.#inTurn()) {
      try {
        const answer = await send(client, attempt());
        this.#at = at;
        return answer;
      } catch (error) {
        why.set(endpoint, messageOf(error));
        if (wasNeverSent(error)) continue;
        if (isTooLarge(error)) throw tooLarge(what, error);
        if (isRecoverableError(asError(error))) this.#at = (at + 1) % this.#members.length;
        throw this.unanswered(what, why, error);
      }
    }
    throw this.unanswered(what, why);
  }

  /** Asks every member for itself, once. */
  async each<T>(ask: Ask<T>): Promise<MemberAnswer<T>[]> {
    return await Promise.all(
      this.#members.map(async ({ endpoint, client }) => {
        try {
          return { endpoint, answer: await ask(client, attempt()) };
        } catch (error) {
          return { endpoint, error: asError(error) };
        }
      }),
    );
  }

  /**
   * Asks one member, once.
   *
   * @throws KeyferryError `UnreachableEtcd`, retryable, also when it may still be at it
   */
  async one<T>(endpoint: string, what: string, withinMs: number, ask: Ask<T>): Promise<T> {
    const member = this.#members.find((other) => other.endpoint === endpoint);
    if (member === undefined) throw new Error(`${endpoint} is none of etcd's endpoints`);
    try {
      return await ask(member.client, { deadline: Date.now() + withinMs });
    } catch (error) {
      throw this.unanswered(what, new Map([[endpoint, messageOf(error)]]), error);
    }
  }

  close(): void {
    for (const { client } of this.#members) client.close();
  }

  /** @param why - what each endpoint that was asked said last */
  unanswered(what: string, why: ReadonlyMap<string, string>, cause?: unknown): KeyferryError {
    const all = this.#members.map(({ endpoint }) => endpoint).join(', ');
    const each = [...why].map(([endpoint, reason]) =>
      this.#members.length === 1 ? reason : `${endpoint}: ${reason}`,
    );
    return new KeyferryError(
      'UnreachableEtcd',
      `etcd (${all}) did not answer (${what}): ${each.join('; ')}`,
      {
        remedy: 'check that etcd runs and that the endpoints and certificates in the spec are right',
        retryable: true,
        cause,
      },
    );
  }

  /** Every member once, beginning with the one that answered last. */
  *#inTurn(): Generator<[number, Member]> {
    const first = this.#at;
    for (let i = 0; i < this.#members.length; i += 1) {
      const at = (first + i) % this.#members.length;
      const member = this.#members[at];
      if (member !== undefined) yield [at, member];
    }
  }
}

function clientOf(endpoint: string, credentials: ReturnType<typeof credentialsOf>): Etcd3 {
  return new Etcd3({
    hosts: endpoint,
    ...credentials,
    faultHandling: { global: ONCE, host: () => ONCE },
    grpcOptions: {
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      'grpc-node.flow_control_window': WINDOW_BYTES,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    },
  });
}

function attempt(withinMs = DEADLINE_MS): CallOptions {
  return { deadline: Date.now() + Math.min(ATTEMPT_MS, withinMs) };
}

/** Told by gRPC's words, for its status is the same as that of a connection that broke under way. */
function wasNeverSent(error: unknown): boolean {
  return /No connection established|Name resolution failed|Channel closed before call started/.test(
    messageOf(error),
  );
}

/** etcd's own words, and gRPC's for what is so large that etcd doesn't even look at it. */
function isTooLarge(error: unknown): boolean {
  return /request is too large|received message larger than max/.test(messageOf(error));
}

function tooLarge(what: string, cause: unknown): KeyferryError {
  return new KeyferryError('TooLargeForEtcd', `etcd doesn't take so large a request (${what})`, {
    remedy: "raise etcd's --max-request-bytes (1.5 MiB)",
    cause,
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function credentialsOf(spec: EtcdAccess) {
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
