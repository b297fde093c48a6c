import { Server, ServerCredentials } from '@grpc/grpc-js';
import { type KeyService } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import { pluginHandlers } from './handlers.ts';
import { rotationHandlers } from './rotation-handlers.ts';
import { ServedKey, type KeyProtection } from './served-key.ts';
import { keyManagementService, maxMessageBytes, rotationService } from './service.ts';
import { listenPrivately, type PrivateSocket } from './socket.ts';
import { type OnAnswered } from './unary.ts';

/** How long calls under way are given to end when the server stops. */
const drainMs = 5_000;

/** A KMS v2 plugin for one key, listening on its socket. */
export class KmsPluginServer {
  readonly #server: Server;
  readonly #socket: PrivateSocket;
  readonly key: ServedKey;

  private constructor(server: Server, socket: PrivateSocket, key: ServedKey) {
    this.#server = server;
    this.#socket = socket;
    this.key = key;
  }

  /**
   * Listens at a unix socket of mode 0600. Does not ask the key service: a service that is down shows in Status.
   *
   * @param socket - absolute path; its folder must be there
   * @param options - without a local KEK, every DEK seed goes to the key service itself
   * @throws KeyferryError `RefusedSocketInUse` when somebody listens there already, `RefusedSocketPath`
   */
  static async start(
    socket: string,
    service: KeyService,
    log: Logger,
    options: KeyProtection & { readonly answered?: OnAnswered } = {},
  ): Promise<KmsPluginServer> {
    const server = new Server({ 'grpc.max_receive_message_length': maxMessageBytes });
    const key = new ServedKey(service, log, options);
    server.addService(keyManagementService, pluginHandlers(key, log, options.answered));
    if (key.rotation !== undefined) {
      server.addService(rotationService, rotationHandlers(key.rotation, log, options.answered));
    }
    try {
      const held = await listenPrivately(socket, (path) => bind(server, path));
      log.info({ socket }, 'listening');
      return new KmsPluginServer(server, held, key);
    } catch (error) {
      key.close();
      server.forceShutdown();
      throw error;
    }
  }

  /**
   * Adopts no other version from now on, takes the socket away, lets the calls under way end (5 s at most), wipes what is in memory, and closes. The key service
   * is left open.
   */
  async stop(): Promise<void> {
    await this.key.state.settle();
    await this.#socket.release();
    let timer: NodeJS.Timeout | undefined;
    const drained = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, drainMs)));
    await Promise.race([drained, late]);
    clearTimeout(timer);
    this.#server.forceShutdown();
    this.key.close();
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
