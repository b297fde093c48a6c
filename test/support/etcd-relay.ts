import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js';

/** What keyferry and API servers ask of etcd with one request and one answer. */
const METHODS = [
  '/etcdserverpb.KV/Range',
  '/etcdserverpb.KV/Txn',
  '/etcdserverpb.KV/Compact',
  '/etcdserverpb.Lease/LeaseGrant',
  '/etcdserverpb.Maintenance/Status',
  '/etcdserverpb.Maintenance/Alarm',
];
const WATCH = '/etcdserverpb.Watch/Watch';
const ANY_SIZE = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

/** A page that was asked for. */
export interface AskedPage {
  readonly start: string;
  /** Whether the keys come without their values. */
  readonly keysOnly: boolean;
}

/**
 * Stands between a client and a member of etcd. Requests and answers go through as they are; but something may be done once a
 * page of several keys was read, before the client gets it, and watches may be held still.
 */
export class EtcdRelay {
  readonly url: string;
  readonly #server: Server;
  readonly #client: Client;
  readonly #watches: Held;

  private constructor(url: string, server: Server, client: Client, watches: Held) {
    this.url = url;
    this.#server = server;
    this.#client = client;
    this.#watches = watches;
  }

  /**
   * @param member - the address that etcd's clients use, without TLS
   * @param onPage - waited for; where it fails, the request does
   */
  static async to(
    member: string,
    onPage: (page: AskedPage) => Promise<void> = () => Promise.resolve(),
  ): Promise<EtcdRelay> {
    const client = new Client(new URL(member).host, credentials.createInsecure(), ANY_SIZE);
    const server = new Server(ANY_SIZE);
    const watches = new Held();
    for (const method of METHODS) {
      const handle = (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
        client.makeUnaryRequest(method, same, same, call.request, new Metadata(), (error, given) => {
          const page = method.endsWith('/Range') ? pageOf(call.request) : undefined;
          if (error !== null || page === undefined) {
            answer(error, given);
            return;
          }
          onPage(page).then(
            () => answer(null, given),
            (failed: unknown) => answer({ details: String(failed) }),
          );
        });
      };
      server.register(method, handle, same, same, 'unary');
    }
    const watch = (call: ServerDuplexStream<Buffer, Buffer>): void => {
      const stream = client.makeBidiStreamRequest(WATCH, same, same, call.metadata);
      call.on('data', (asked: Buffer) => stream.write(asked));
      call.on('end', () => stream.end());
      call.on('cancelled', () => stream.cancel());
      stream.on('data', (told: Buffer) => watches.pass(() => call.write(told)));
      stream.on('end', () => call.end());
      stream.on('error', (error) => call.destroy(error));
    };
    server.register(WATCH, watch, same, same, 'bidi');
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    return new EtcdRelay(`http://127.0.0.1:${port}`, server, client, watches);
  }

  /** From now on the client is told nothing by its watches, while all that it asks is answered (as of etcd#15402). */
  holdWatches(): void {
    this.#watches.hold();
  }

  /** It is told all that it missed. */
  releaseWatches(): void {
    this.#watches.release();
  }

  stop(): Promise<void> {
    this.#server.forceShutdown();
    this.#client.close();
    return Promise.resolve();
  }
}

/** Deeds that wait, in order, while they are held. */
class Held {
  #waiting: (() => void)[] | undefined;

  pass(deed: () => void): void {
    if (this.#waiting === undefined) deed();
    else this.#waiting.push(deed);
  }

  hold(): void {
    this.#waiting ??= [];
  }

  release(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const deed of waiting) deed();
  }
}

function same(bytes: Buffer): Buffer {
  return bytes;
}

/** Of a RangeRequest (etcd's api/etcdserverpb/rpc.proto); undefined where it can't have several keys. */
function pageOf(request: Buffer): AskedPage | undefined {
  const reader = new BinaryReader(request);
  let start = '';
  let limit = 0;
  let keysOnly = false;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) start = Buffer.from(reader.bytes()).toString();
    else if (field === 3) limit = Number(reader.int64());
    else if (field === 8) keysOnly = reader.bool();
    else reader.skip(type, field);
  }
  return limit > 1 ? { start, keysOnly } : undefined;
}
