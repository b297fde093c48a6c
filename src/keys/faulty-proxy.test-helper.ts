import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Passes TCP connections on to a key service, TLS or not; can hold its answers back, and cut them off. */
export class FaultyProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] | undefined;
  #onHeld: (() => void)[] = [];
  #cut: { readonly after: number; connections: number } | undefined;

  private constructor(host: string, port: number) {
    this.#server = createServer((client) => this.#pass(client, connect({ host, port })));
  }

  static async start({ host, port }: { host: string; port: number }): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(host, port);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on requests go through and answers don't, until the returned function is called. */
  hold(): () => void {
    const held: (() => void)[] = [];
    this.#held = held;
    return () => {
      this.#held = undefined;
      for (const release of held) release();
    };
  }

  /** Resolves once an answer is held back, so that its request is known to have been made. */
  async holding(): Promise<void> {
    if ((this.#held?.length ?? 0) > 0) return;
    await new Promise<void>((resolve) => this.#onHeld.push(resolve));
  }

  /**
   * Resets connections once the service has answered more than `after` bytes on them.
   *
   * @param connections - how many; all, until {@link mend}, when absent
   */
  cut(after: number, connections = Infinity): void {
    this.#cut = { after, connections };
  }

  mend(): void {
    this.#cut = undefined;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(client: Socket, service: Socket): void {
    let answered = 0;
    for (const [socket, other] of [
      [client, service],
      [service, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (bytes) => {
      // Kept-alive connections answered before the fault began: what counts is what comes for this request.
      answered = 0;
      service.write(bytes);
    });
    service.on('data', (bytes) => {
      const deliver = () => {
        const cut = this.#cut;
        const left = cut === undefined ? bytes.length : Math.max(0, cut.after - answered);
        answered += bytes.length;
        if (cut === undefined || left >= bytes.length || cut.connections === 0) {
          client.write(bytes);
          return;
        }
        cut.connections -= 1;
        if (left === 0) client.resetAndDestroy();
        else client.write(bytes.subarray(0, left), () => client.resetAndDestroy());
      };
      if (this.#held === undefined) {
        deliver();
        return;
      }
      this.#held.push(deliver);
      for (const tell of this.#onHeld.splice(0)) tell();
    });
  }
}
