import * as http from 'node:http';
import * as https from 'node:https';
import { KeyferryError } from '../src/errors.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

export interface HttpOptions {
  readonly ca?: string;
  /** What the client shows of itself, with its key. */
  readonly cert?: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxSockets?: number;
  readonly timeoutMs?: number;
}

/** A keep-alive client of one server. Answers of any status are answers; only a broken connection throws. */
export class HttpClient {
  readonly url: string;
  readonly #agent: http.Agent;
  readonly #options: HttpOptions;

  constructor(url: string, options: HttpOptions = {}) {
    this.url = url;
    this.#options = options;
    const maxSockets = options.maxSockets ?? 32;
    this.#agent = url.startsWith('https:')
      ? new https.Agent({
          keepAlive: true,
          maxSockets,
          ...(options.ca === undefined ? {} : { ca: options.ca }),
          ...(options.cert === undefined ? {} : { cert: options.cert }),
          ...(options.key === undefined ? {} : { key: options.key }),
        })
      : new http.Agent({ keepAlive: true, maxSockets });
  }

  /** @param body - sent as JSON; `contentType` for patches */
  request(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<HttpAnswer> {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers: Record<string, string | number> = { accept: 'application/json', ...this.#options.headers };
    if (payload !== undefined) {
      headers['content-type'] = contentType;
      headers['content-length'] = payload.length;
    }
    const timeoutMs = this.#options.timeoutMs ?? 30_000;
    return new Promise((resolve, reject) => {
      const send = this.url.startsWith('https:') ? https.request : http.request;
      const request = send(new URL(path, this.url), { method, headers, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        );
      });
      // Over the whole exchange: a server that was frozen may still take connections, and a socket's own timeout starts anew.
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer from ${this.url} within ${timeoutMs} ms`)),
        timeoutMs,
      );
      request.once('close', () => clearTimeout(timer));
      request.once('error', reject);
      request.end(payload);
    });
  }

  /** As `request`, for calls that must succeed: anything but 2xx (or an allowed status) is an error. */
  async expect(
    method: string,
    path: string,
    body?: unknown,
    allowed: readonly number[] = [],
  ): Promise<HttpAnswer> {
    const answer = await this.request(method, path, body);
    if ((answer.status < 200 || answer.status > 299) && !allowed.includes(answer.status)) {
      throw new KeyferryError(
        'LabHttp',
        `${method} ${this.url}${path} answered ${answer.status}: ${answer.text.slice(0, 300)}`,
        { remedy: "Look at the server's log in the lab's folder." },
      );
    }
    return answer;
  }

  /** Closes idle connections: without this a process may linger. */
  close(): void {
    this.#agent.destroy();
  }
}
