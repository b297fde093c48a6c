import { setTimeout as sleep } from 'node:timers/promises';
import NodeVault from 'node-vault';
import { type ZodType } from 'zod';
import { withinDeadline } from './deadline.ts';
import { KeyServiceError } from './key-service.ts';
import { systemErrorCode } from './system-error.ts';

/** How a Vault is reached. */
export interface VaultConnection {
  /** `https://vault.example.com:8200`, without a path. */
  readonly address: string;
  /** Vault Enterprise and HCP only. */
  readonly namespace?: string;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca?: string;
  /** Shown to a Vault that asks for it (PEM). */
  readonly clientCertificate?: { readonly cert: string; readonly key: string };
  /** Of one attempt, in milliseconds; 3,000 when absent. */
  readonly timeoutMs?: number;
}

export interface VaultRequest {
  readonly path: string;
  /** Sent by POST; without a body the request is a GET. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Absent for a login. */
  readonly token?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Vault answered no (4xx), and would again. `reason` is Vault's own text, with what looks like a token taken out. */
export class VaultRefusal extends Error {
  override readonly name = 'VaultRefusal';
  readonly statusCode: number;
  readonly reason: string;

  constructor(statusCode: number, reason: string) {
    super(`Vault answered ${statusCode}: ${reason}`);
    this.statusCode = statusCode;
    this.reason = reason;
  }
}

const attempts = 3;
const firstDelayMs = 100;

/**
 * Requests to one Vault over node-vault: with a timeout, an abort signal, and up to three attempts with jitter on network
 * errors, 5xx and 429.
 *
 * Errors of node-vault and axios carry the request (token and plaintext): none leaves this class, not even as a cause.
 */
export class VaultApi {
  readonly #address: string;
  readonly #client: NodeVault.client;

  constructor({ address, namespace, ca, clientCertificate, timeoutMs }: VaultConnection) {
    this.#address = address;
    const options = {
      endpoint: address,
      // It would print bodies, plaintext and all, when DEBUG is set.
      debug: () => undefined,
      // Otherwise VAULT_SKIP_VERIFY in the environment turns certificate checks off in silence.
      rpDefaults: { strictSSL: true },
      requestOptions: {
        timeout: timeoutMs ?? 3_000,
        ...(ca === undefined ? {} : { ca }),
        ...clientCertificate,
      },
    };
    this.#client = NodeVault(options);
    // Set afterwards, for node-vault takes what is empty or absent from VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX.
    Object.assign(this.#client, { token: '', namespace: namespace ?? '', pathPrefix: '' });
  }

  /**
   * @returns Vault's JSON answer; `undefined` or empty for 204
   * @throws VaultRefusal on 4xx; KeyServiceError `UnavailableVault` when no attempt got an answer, `TimeoutVault` when
   *   the signal was aborted
   */
  async request(request: VaultRequest): Promise<unknown> {
    const { signal } = request;
    for (let attempt = 1; ; attempt++) {
      if (signal?.aborted === true) throw this.givenUp();
      const outcome = await this.#attempt(request);
      if ('answer' in outcome) return outcome.answer;
      if (attempt === attempts) throw this.#unavailable(outcome.failed);
      await this.#pause(firstDelayMs * 2 ** (attempt - 1), signal);
    }
  }

  async #attempt(request: VaultRequest): Promise<{ answer: unknown } | { failed: string }> {
    try {
      // node-vault can't be aborted: the request is left to its own timeout, and its outcome to nobody.
      return { answer: await withinDeadline(this.#send(request), request.signal, () => this.givenUp()) };
    } catch (error) {
      if (error instanceof KeyServiceError) throw error;
      const response = responseOf(error);
      if (response === undefined) return { failed: networkReason(error) };
      const reasons = reasonsOf(response.body);
      const reason = clean(reasons ?? 'no reason given', request);
      if (response.statusCode < 500 && response.statusCode !== 429) {
        if (reasons === undefined) throw notVault(`${response.statusCode} without an "errors" field`);
        throw new VaultRefusal(response.statusCode, reason);
      }
      return { failed: `it answered ${response.statusCode}: ${reason}` };
    }
  }

  async #send({ path, body, token }: VaultRequest): Promise<unknown> {
    const options = token === undefined ? {} : { headers: { 'X-Vault-Token': token } };
    const answer: unknown = await (body === undefined
      ? this.#client.read(path, options)
      : this.#client.write(path, body, options));
    return answer;
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(ms * (0.5 + Math.random()), undefined, signal === undefined ? {} : { signal });
    } catch {
      throw this.givenUp();
    }
  }

  /** The error of a call whose signal was aborted. */
  givenUp(): KeyServiceError {
    return new KeyServiceError(
      'timeout',
      'TimeoutVault',
      `Vault at ${this.#address} did not answer within the caller's deadline`,
      'check that Vault answers, and how long it takes (vault status)',
    );
  }

  #unavailable(reason: string): KeyServiceError {
    return new KeyServiceError(
      'unavailable',
      'UnavailableVault',
      `Vault at ${this.#address} is not available: ${reason}`,
      reason.includes('sealed')
        ? 'unseal Vault'
        : 'check that Vault runs, is unsealed, and can be reached from here',
    );
  }
}

/**
 * Reads an answer of Vault's by its schema.
 *
 * @throws KeyServiceError `VaultAnswerUnexpected`; it says which fields, and nothing of their values
 */
export function readAnswer<T>(schema: ZodType<T>, answer: unknown): T {
  const read = schema.safeParse(answer);
  if (read.success) return read.data;
  const fields = read.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw notVault(fields || 'no JSON object');
}

function notVault(how: string): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'VaultAnswerUnexpected',
    `what answers in Vault's place answers otherwise than Vault does (${how})`,
    'check the address; a proxy in between may answer for Vault',
  );
}

function responseOf(error: unknown): { statusCode: number; body: unknown } | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  const response = error.response;
  if (typeof response !== 'object' || response === null || !('statusCode' in response)) return undefined;
  return typeof response.statusCode === 'number'
    ? { statusCode: response.statusCode, body: 'body' in response ? response.body : undefined }
    : undefined;
}

/** Vault's reasons; `undefined` when the body isn't an error of Vault's. */
function reasonsOf(body: unknown): string | undefined {
  const errors = typeof body === 'object' && body !== null && 'errors' in body ? body.errors : undefined;
  if (!Array.isArray(errors)) return undefined;
  const texts = errors.filter((text): text is string => typeof text === 'string');
  return texts.length === 0 ? 'no reason given' : texts.join('; ');
}

/** Only the code of a network error: its message, and whatever else it carries, may hold the request. */
function networkReason(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === 'ECONNABORTED' || code === 'ETIMEDOUT') return 'it did not answer in time';
  return code === undefined ? 'the connection failed' : `the connection failed (${code})`;
}

/** One bounded line, without anything that was in the request or looks like a token of Vault's. */
function clean(text: string, request: VaultRequest): string {
  const secrets = [request.token, ...Object.values(request.body ?? {})].filter(
    (value): value is string => typeof value === 'string' && value.length >= 8,
  );
  let line = text.replace(/\s+/g, ' ').trim();
  for (const secret of secrets) line = line.replaceAll(secret, '[removed]');
  return line.replace(/\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{16,}/g, '[removed]').slice(0, 300);
}
