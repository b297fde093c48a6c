import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Lab } from '../../lab/lab.ts';

interface Selfie {
  apiVersion: string;
  metadata: { name: string };
  hostPort?: string;
  host?: string;
  port?: string;
}

interface Review {
  request: { uid: string; desiredAPIVersion: string; objects: Selfie[] };
}

/**
 * A conversion webhook between v1 (`hostPort`) and v2 (`host`, `port`), with faults that can be switched on: an error for some
 * objects, the port forgotten for some. It serves with the certificate of an API server, which is issued for this machine.
 */
export class ConversionWebhook {
  readonly caBundle: string;
  /** Names of the objects that it answers with an error for. */
  errsFor: (name: string) => boolean = () => false;
  /** Names of the objects whose port it forgets. */
  dropsFor: (name: string) => boolean = () => false;
  conversions = 0;
  readonly #tls: { cert: string; key: string };
  #server: Server | undefined;
  #port = 0;

  private constructor(lab: Lab) {
    const [node = ''] = lab.nodes;
    const { certificates } = lab.paths.node(node);
    const read = (file: string): string => readFileSync(join(certificates, file), 'utf8');
    this.#tls = { cert: read('apiserver.crt'), key: read('apiserver.key') };
    this.caBundle = Buffer.from(this.#tls.cert).toString('base64');
  }

  static async start(lab: Lab): Promise<ConversionWebhook> {
    const webhook = new ConversionWebhook(lab);
    await webhook.up();
    return webhook;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}/crdconvert`;
  }

  /** On the same port as before. */
  async up(): Promise<void> {
    const server = createServer(this.#tls, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.once('end', () => {
        const review = JSON.parse(Buffer.concat(chunks).toString()) as Review;
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(this.#answer(review)));
      });
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  #answer({ request: { uid, desiredAPIVersion, objects } }: Review): object {
    const failed = objects.find(({ metadata }) => this.errsFor(metadata.name));
    this.conversions += objects.length;
    return {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'ConversionReview',
      response:
        failed === undefined
          ? {
              uid,
              convertedObjects: objects.map((object) => this.#converted(object, desiredAPIVersion)),
              result: { status: 'Success' },
            }
          : { uid, result: { status: 'Failed', message: `can't convert ${JSON.stringify(failed)}` } },
    };
  }

  #converted({ hostPort, host, port, ...rest }: Selfie, apiVersion: string): Selfie {
    const forgets = this.dropsFor(rest.metadata.name);
    if (apiVersion.endsWith('/v2')) {
      const [first, second] = hostPort?.split(':') ?? [host, port];
      return {
        ...rest,
        apiVersion,
        ...(first === undefined ? {} : { host: first }),
        ...(second === undefined || forgets ? {} : { port: second }),
      };
    }
    const joined = hostPort ?? (host === undefined ? undefined : `${host}:${port ?? ''}`);
    return { ...rest, apiVersion, ...(joined === undefined ? {} : { hostPort: joined }) };
  }
}
