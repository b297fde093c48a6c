import { Client, credentials, Metadata, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import { explainCallError } from './client-errors.ts';
import { socketPathOf } from './endpoint.ts';
import { maxMessageBytes } from './service.ts';

/** A plugin's socket, connected to at the first call. */
export class PluginConnection {
  readonly #client: Client;
  readonly #socket: string;
  readonly #timeoutMs: number;

  /**
   * @param endpoint - `unix:///absolute/path`
   * @param timeoutMs - deadline of each call in milliseconds
   * @throws KeyferryError `PluginEndpointInvalid`
   */
  constructor(endpoint: string, timeoutMs: number) {
    this.#socket = socketPathOf(endpoint);
    this.#timeoutMs = timeoutMs;
    this.#client = new Client(`unix:${this.#socket}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': maxMessageBytes,
      // A plugin that was restarted is met again within a second, not after grpc's default of up to two minutes.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
    });
  }

  /** One call, which ends within its deadline; what goes wrong is told as {@link explainCallError} does. */
  async call<Req, Res>(name: string, method: MethodDefinition<Req, Res>, request: Req): Promise<Res> {
    try {
      return await new Promise<Res>((resolve, reject) => {
        this.#client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          new Metadata(),
          { deadline: Date.now() + this.#timeoutMs },
          (error: ServiceError | null, answer?: Res) => {
            if (error !== null) reject(error);
            else if (answer === undefined) reject(new Error('the call ended without an answer'));
            else resolve(answer);
          },
        );
      });
    } catch (error) {
      throw await explainCallError(error, { call: name, socket: this.#socket, timeoutMs: this.#timeoutMs });
    }
  }

  /** Calls under way fail. */
  close(): void {
    this.#client.close();
  }
}
