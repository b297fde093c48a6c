import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher } from 'undici';
import { KeyferryError, messageOf } from '../errors.ts';
import type { ApiServerSpec, ClusterSpec } from '../spec/migration.ts';
import { provenSkew } from './clock.ts';

/** How long credentials of the kubeconfig (tokens that rotate, exec plugins) are used before they are asked for again. */
const CREDENTIALS_MS = 60_000;

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Path and query, already percent-encoded: `/api/v1/namespaces/default/secrets/a%3Ab`. */
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface ApiResponse {
  status: number;
  /** Seconds after which the server wants to be asked again, where it says so. */
  retryAfterSeconds?: number;
  /** How many milliseconds the server's clock is ahead of this machine's, as far as its Date header proves it. */
  aheadMs?: number;
  /** The body, parsed where it is JSON. */
  body: unknown;
  text: string;
}

interface Session {
  dispatcher: Agent;
  headers: Record<string, string>;
  expiresAt: number;
}

/** One API server, asked directly by its own address with the credentials of the kubeconfig. */
export class ApiServer {
  readonly name: string;
  readonly node: string;
  readonly #spec: ApiServerSpec;
  readonly #load: () => KubeConfig;
  #kubeconfig: KubeConfig;
  readonly #connections: number;
  #session: Session | undefined;
  #opening: Promise<Session> | undefined;

  /** @param load - reads the kubeconfig: now, and again whenever credentials are asked for again */
  constructor(spec: ApiServerSpec, load: () => KubeConfig, connections: number) {
    this.name = spec.name;
    this.node = spec.node ?? spec.name;
    this.#spec = spec;
    this.#load = load;
    this.#kubeconfig = load();
    this.#connections = connections;
  }

  /**
   * Sends one request, and answers with whatever status came back. All of keyferry's may be sent twice.
   *
   * @throws KeyferryError, retryable: `UnreachableApiServer` when no answer came; `StartingApiServer` when it refuses
   * because it hasn't loaded its roles yet, as a server does for a moment after it has begun to listen
   */
  async request(request: ApiRequest): Promise<ApiResponse> {
    const first = await this.#send(request);
    // Tokens and certificates are replaced while a migration lasts: those of now have the last word.
    const response = first.status === 401 ? await this.#send(request) : first;
    if (!refusedByRoles(response)) return response;
    const { status } = await this.#send({ method: 'GET', path: '/readyz', timeoutMs: 10_000 });
    // It may have become ready in between: only now its word counts.
    if (status === 200) return await this.#send(request);
    throw new KeyferryError(
      'StartingApiServer',
      `API server ${this.name} answered 403, and ${status} to /readyz: it isn't ready yet`,
      { remedy: `keyferry tries again; if it stays so, see what ${this.name} logs`, retryable: true },
    );
  }

  async #send(request: ApiRequest): Promise<ApiResponse> {
    const { timeoutMs = 30_000 } = request;
    try {
      const session = await this.#open();
      const sentAt = Date.now();
      const timeout = AbortSignal.timeout(timeoutMs);
      const response = await session.dispatcher.request({
        origin: this.#spec.server,
        path: request.path,
        method: request.method,
        headers: {
          accept: 'application/json',
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...request.headers,
          ...session.headers,
        },
        body: request.body === undefined ? null : JSON.stringify(request.body),
        signal: request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]),
      });
      if (response.statusCode === 401) session.expiresAt = 0;
      return await read(response, sentAt);
    } catch (error) {
      if (error instanceof KeyferryError) throw error;
      throw new KeyferryError(
        'UnreachableApiServer',
        `API server ${this.name} (${this.#spec.server}) did not answer: ${reasonOf(error, timeoutMs)}`,
        {
          remedy: `check that ${this.name} runs and that its address, CA and credentials in the spec and kubeconfig are right`,
          retryable: true,
          cause: error,
        },
      );
    }
  }

  async close(): Promise<void> {
    await this.#session?.dispatcher.destroy();
    this.#session = undefined;
  }

  async #open(): Promise<Session> {
    if (this.#session !== undefined && this.#session.expiresAt > Date.now()) return this.#session;
    // Requests side by side share one new session: each would close that of the other.
    this.#opening ??= this.#renew().finally(() => (this.#opening = undefined));
    return await this.#opening;
  }

  async #renew(): Promise<Session> {
    const options: RequestOptions = {};
    // Tokens and certificates are replaced while a migration lasts; a file that is just being written has its turn later.
    if (this.#session !== undefined) this.#kubeconfig = this.#reloaded();
    await this.#kubeconfig.applyToHTTPSOptions(options);
    const { ca, cert, key, rejectUnauthorized, servername } = options;
    const previous = this.#session;
    this.#session = {
      dispatcher: new Agent({
        connections: this.#connections,
        // HTTP/2 costs this process and API servers more for each small request; connections are few.
        allowH2: false,
        connect: {
          ...(ca === undefined ? {} : { ca }),
          ...(cert === undefined ? {} : { cert }),
          ...(key === undefined ? {} : { key }),
          ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
          ...(servername === undefined ? {} : { servername }),
        },
      }),
      headers: stringHeaders(options.headers),
      expiresAt: Date.now() + CREDENTIALS_MS,
    };
    // Requests under way on the old connections finish first, and so do those that are about to be sent on them.
    setImmediate(() => void previous?.dispatcher.close());
    return this.#session;
  }

  #reloaded(): KubeConfig {
    try {
      return this.#load();
    } catch {
      return this.#kubeconfig;
    }
  }
}

/**
 * The API servers of a cluster, each with the kubeconfig's user and an address of its own.
 *
 * @param connections - connections to keep to each
 * @throws KeyferryError `FileKubeconfig` when the kubeconfig or a CA file can't be used
 */
export function apiServersOf(cluster: ClusterSpec, connections = 32): ApiServer[] {
  return cluster.apiServers.map(
    (server) => new ApiServer(server, () => kubeconfigFor(cluster, server), connections),
  );
}

function kubeconfigFor(cluster: ClusterSpec, server: ApiServerSpec): KubeConfig {
  const { file, context } = cluster.kubeconfig;
  const loaded = new KubeConfig();
  try {
    loaded.loadFromFile(file);
    if (context !== undefined) loaded.setCurrentContext(context);
    const user = loaded.getCurrentUser();
    const base = loaded.getCurrentCluster();
    if (user === null || base === null)
      throw new KubeconfigIncomplete(`context "${loaded.getCurrentContext()}" has no cluster or no user`);
    const own = new KubeConfig();
    own.loadFromClusterAndUser(
      {
        ...base,
        name: server.name,
        server: server.server,
        ...(server.tlsServerName === undefined ? {} : { tlsServerName: server.tlsServerName }),
        ...(server.certificateAuthority === undefined
          ? {}
          : { caData: readFileSync(server.certificateAuthority.file).toString('base64') }),
      },
      user,
    );
    return own;
  } catch (error) {
    throw new KeyferryError(
      'FileKubeconfig',
      `kubeconfig ${file} can't be used for ${server.name}: ${kubeconfigTrouble(error)}`,
      {
        remedy: 'name a kubeconfig, a context and CA files that this machine can read',
        cause: error,
      },
    );
  }
}

/** A YAML parser quotes the lines around a mistake, and one of them may be a token: only places are told. */
function kubeconfigTrouble(error: unknown): string {
  const { code, mark } = error as { code?: string; mark?: { line?: number } };
  if (mark !== undefined) return `it isn't YAML at line ${(mark.line ?? 0) + 1}`;
  if (code !== undefined) return code;
  return error instanceof KubeconfigIncomplete ? error.message : "it isn't a valid kubeconfig";
}

class KubeconfigIncomplete extends Error {}

/** As the authorizer words it; admission answers 403 as well, and says who refused. */
function refusedByRoles({ status, text }: ApiResponse): boolean {
  return status === 403 && / cannot [a-z]+ (resource|path) /.test(text);
}

async function read(response: Dispatcher.ResponseData, sentAt: number): Promise<ApiResponse> {
  const aheadMs = provenSkew(response.headers['date'], sentAt, Date.now());
  const text = await response.body.text();
  const retryAfter = Number(response.headers['retry-after']);
  return {
    status: response.statusCode,
    ...(Number.isFinite(retryAfter) ? { retryAfterSeconds: retryAfter } : {}),
    ...(aheadMs === undefined ? {} : { aheadMs }),
    body: parsed(text, response.headers['content-type']),
    text,
  };
}

function parsed(text: string, contentType: string | string[] | undefined): unknown {
  if (!String(contentType).includes('json')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function stringHeaders(headers: unknown): Record<string, string> {
  const pairs =
    headers instanceof Map || headers instanceof Headers ? [...headers] : Object.entries(headers ?? {});
  return Object.fromEntries(pairs.map(([name, value]) => [String(name), String(value)]));
}

function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError')
    return `no answer within ${timeoutMs / 1000} s`;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return messageOf(cause);
}
