import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { KeyferryError } from '../errors.ts';
import { systemErrorCode } from '../keys/system-error.ts';
import { type Logger } from '../telemetry/logger.ts';
import { type PluginMetrics } from './metrics.ts';
import { kmsV2Protocol } from './service.ts';
import { type ServedKey } from './served-key.ts';

/** A key by its name in the configuration. */
export interface NamedKey {
  readonly name: string;
  readonly key: ServedKey;
}

interface Answer {
  readonly statusCode: 200 | 404 | 405 | 503;
  readonly body: string;
  readonly contentType?: string;
}

/** How long a probe is worked on. */
const longestMs = 5_000;

/**
 * A plugin's HTTP listener: `/livez` (the process), `/readyz` (each key: ok, degraded or failing, and why), `/healthz` (a
 * DEK goes to each key and comes back), `/metrics`. A probe asks the key service no more often than Status does.
 */
export class PluginHttpServer {
  readonly #server: Server;
  /** The one it listens at: of a configured port 0, what the system gave. */
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** @throws KeyferryError `RefusedMetricsAddress` when it can't listen there */
  static async start(
    address: { readonly host: string; readonly port: number },
    keys: readonly NamedKey[],
    metrics: PluginMetrics,
    log: Logger,
  ): Promise<PluginHttpServer> {
    if (!isLoopback(address.host)) {
      log.warn({ address }, 'metrics and health are open to other hosts: they show key ids, no secrets');
    }
    const server = createServer((request, response) => void respond(request, response, keys, metrics, log));
    server.requestTimeout = 10_000;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(refused(address, error)));
      server.listen(address.port, address.host, resolve);
    });
    const { port } = server.address() as AddressInfo;
    log.info({ host: address.host, port }, 'metrics and health are served');
    return new PluginHttpServer(server, port);
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  keys: readonly NamedKey[],
  metrics: PluginMetrics,
  log: Logger,
): Promise<void> {
  const answer = await answerTo(request, keys, metrics).catch((error: unknown): Answer => {
    log.error({ error: error instanceof Error ? error.name : typeof error }, 'a defect in a health check');
    return { statusCode: 503, body: 'a defect in keyferry\n' };
  });
  response.writeHead(answer.statusCode, {
    'content-type': answer.contentType ?? 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function answerTo(
  { method, url = '/' }: IncomingMessage,
  keys: readonly NamedKey[],
  metrics: PluginMetrics,
): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { statusCode: 405, body: 'only GET and HEAD\n' };
  switch (url.split('?')[0]) {
    case '/livez':
      return { statusCode: 200, body: 'ok\n' };
    case '/readyz':
      return await check(keys, async (key, signal) => {
        const { healthz } = await key.health(signal);
        return healthz === kmsV2Protocol.healthy ? undefined : healthz;
      });
    case '/healthz':
      return await check(keys, (key, signal) => key.roundTrip(signal));
    case '/metrics':
      return { statusCode: 200, body: await metrics.text(), contentType: metrics.contentType };
    default:
      return { statusCode: 404, body: 'there are /livez, /readyz, /healthz and /metrics\n' };
  }
}

/** One line a key: `[+]` while it may be used, `[-]` when not, as API servers write theirs. */
async function check(
  keys: readonly NamedKey[],
  probe: (key: ServedKey, signal: AbortSignal) => Promise<string | undefined>,
): Promise<Answer> {
  const signal = AbortSignal.timeout(longestMs);
  const lines = await Promise.all(
    keys.map(async ({ name, key }) => {
      const problem = await probe(key, signal);
      const { state, reason = 'the key service was not asked yet', graceLeftMs } = key.state.report();
      if (problem !== undefined) return `[-]${name} failing: ${problem}`;
      if (state === 'ok') return `[+]${name} ok`;
      if (state === 'failing' || state === 'unknown') return `[-]${name} failing: ${reason}`;
      return `[+]${name} degraded: ${reason}; goes on without it for ${Math.floor(graceLeftMs / 1_000)} s`;
    }),
  );
  const body = lines.map((line) => `${line.replace(/\s+/g, ' ')}\n`).join('');
  return { statusCode: lines.some((line) => line.startsWith('[-]')) ? 503 : 200, body };
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function refused({ host, port }: { host: string; port: number }, error: unknown): KeyferryError {
  return new KeyferryError(
    'RefusedMetricsAddress',
    `can't listen at ${host}:${port} (${systemErrorCode(error) ?? 'unknown error'})`,
    { remedy: 'give metrics.address a free port of this host, or leave metrics out' },
  );
}
