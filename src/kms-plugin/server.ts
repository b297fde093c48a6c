import { Server, ServerCredentials } from '@grpc/grpc-js';
import { type KeyService } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import { pluginHandlers } from './handlers.ts';
import { keyManagementService, maxMessageBytes } from './service.ts';
import { listenPrivately, type PrivateSocket } from './socket.ts';

/** How long calls under way are given to end when the server stops. */
const drainMs = 5_000;

/** A KMS v2 plugin for one key, listening on its socket. */
export class KmsPluginServer {
  readonly #server: Server;
  readonly #socket: PrivateSocket;

  private constructor(server: Server, socket: PrivateSocket) {
    this.#server = server;
    this.#socket = socket;
  }

  /**
   * Listens at a unix socket of mode 0600. Does not ask the key service: a service that is down shows in Status.
   *
   * @param socket - absolute path; its folder must be there
   * @throws KeyferryError `RefusedSocketInUse` when somebody listens there already, `RefusedSocketPath`
   */
  static async start(socket: string, service: KeyService, log: Logger): Promise<KmsPluginServer> {
    const server = new Server({ 'grpc.max_receive_message_length': maxMessageBytes });
    server.addService(keyManagementService, pluginHandlers(service, log));
    try {
      const held = await listenPrivately(socket, (path) => bind(server, path));
      log.info({ socket }, 'listening');
      return new KmsPluginServer(server, held);
    } catch (error) {
      server.forceShutdown();
      throw error;
    }
  }

  /** Takes the socket away, lets the calls under way end (5 s at most), and closes. The key service is left open. */
  async stop(): Promise<void> {
    await this.#socket.release();
    let timer: NodeJS.Timeout | undefined;
    const drained = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, drainMs)));
    await Promise.race([drained, late]);
    clearTimeout(timer);
    this.#server.forceShutdown();
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
