import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KeyferryError } from '../errors.ts';
import { type Logger } from '../telemetry/logger.ts';
import { KeyServiceError } from './key-service.ts';
import { systemErrorCode } from './system-error.ts';
import { readAnswer, VaultRefusal, type VaultApi, type VaultRequest } from './vault-api.ts';

/** How to log in. All of it lies in files, so that it can be replaced while this runs. */
export type VaultAuth =
  | { readonly type: 'token-file'; readonly tokenFile: string }
  | {
      readonly type: 'approle';
      readonly roleIdFile: string;
      readonly secretIdFile: string;
      /** Where the auth method is mounted: `approle`. */
      readonly mount: string;
    }
  | {
      readonly type: 'kubernetes';
      /** The role of the auth method, which says whose service account tokens it takes. */
      readonly role: string;
      /** A service account's token; the kubelet keeps it fresh, and it is read again for each login. */
      readonly tokenFile: string;
      /** Where the auth method is mounted: `kubernetes`. */
      readonly mount: string;
    };

/** A way to log in that gives a new token each time. */
type VaultLogin = Exclude<VaultAuth, { type: 'token-file' }>;

/** A token and how long it lasts. */
interface Lease {
  readonly token: string;
  /** In seconds, as granted; 0 never expires. */
  readonly ttl: number;
  readonly renewable: boolean;
  /** The TTL of its first grant: a renewal that grants much less is near the token's maximum. */
  readonly firstTtl: number;
  readonly since: number;
}

const loginAnswer = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number(), renewable: z.boolean() }),
});
const lookupAnswer = z.object({ data: z.object({ ttl: z.number(), renewable: z.boolean().optional() }) });
const renewAnswer = z.object({ auth: z.object({ lease_duration: z.number(), renewable: z.boolean() }) });

const longestTimerMs = 24 * 3_600_000;
const retryMs = 10_000;
/** Between two logins because of a 403, so that a policy that is too narrow doesn't fill Vault with tokens. */
const loginPauseMs = 30_000;

/**
 * Requests to Vault with a token that is kept alive: renewed at two thirds of its TTL, taken anew (file read again, or
 * logged in again) when it has run out or Vault answers 403.
 */
export class VaultSession {
  readonly #api: VaultApi;
  readonly #auth: VaultAuth;
  readonly #log: Logger;
  #lease: Lease | undefined;
  #acquiring: Promise<Lease> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(api: VaultApi, auth: VaultAuth, log: Logger) {
    this.#api = api;
    this.#auth = auth;
    this.#log = log;
  }

  /**
   * Sends a request with the session's token.
   *
   * @throws VaultRefusal on 4xx but 403; KeyServiceError `VaultPermissionDenied` when a valid token may not do this,
   *   `VaultLoginFailed` when there is no valid token to be had, and those of {@link VaultApi.request}
   */
  async request(request: Omit<VaultRequest, 'token'>): Promise<unknown> {
    const lease = this.#lease ?? (await this.#acquire());
    try {
      return await this.#api.request({ ...request, token: lease.token });
    } catch (error) {
      if (!isForbidden(error)) throw error;
    }
    const fresh = await this.#afterForbidden(lease, request.signal);
    if (fresh === undefined) throw this.#denied(request);
    try {
      return await this.#api.request({ ...request, token: fresh.token });
    } catch (error) {
      throw isForbidden(error) ? this.#denied(request) : error;
    }
  }

  /** Stops renewing, and revokes a token this session has logged in for (best effort: it runs out by itself). */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease === undefined || this.#auth.type === 'token-file') return;
    const signal = AbortSignal.timeout(1_000);
    await this.#api
      .request({ path: 'auth/token/revoke-self', body: {}, token: lease.token, signal })
      .catch(() => undefined);
  }

  /** A token that may work where `lease`'s was forbidden; `undefined` when that one is valid and just may not. */
  async #afterForbidden(lease: Lease, signal: AbortSignal | undefined): Promise<Lease | undefined> {
    const now = this.#lease;
    if (now !== undefined && now.token !== lease.token) return now;
    if (this.#auth.type === 'token-file' && (await readCredential(this.#auth.tokenFile)) !== lease.token) {
      return await this.#acquire();
    }
    const why = await this.#whyForbidden(lease, signal);
    if (why === undefined) return undefined;
    if (this.#auth.type === 'token-file') {
      throw new KeyServiceError(
        'denied',
        'VaultLoginFailed',
        `the token in ${this.#auth.tokenFile} is not valid, or no longer`,
        'put a new token into the file; it is read again when Vault refuses the old one',
      );
    }
    // Older versions of Vault don't say whether the token or its policy is at fault.
    const certain = why.includes('invalid token');
    return certain || Date.now() - lease.since > loginPauseMs ? await this.#acquire() : undefined;
  }

  /** Why the token may not even look itself up; `undefined` when it may, and so is valid. */
  async #whyForbidden(lease: Lease, signal: AbortSignal | undefined): Promise<string | undefined> {
    try {
      await this.#api.request({ path: 'auth/token/lookup-self', token: lease.token, signal });
      return undefined;
    } catch (error) {
      if (error instanceof VaultRefusal && error.statusCode === 403) return error.reason;
      throw error;
    }
  }

  /** Single flight, and without the caller's signal: others wait for the same token. */
  async #acquire(): Promise<Lease> {
    if (this.#closed)
      throw new KeyServiceError(
        'unavailable',
        'UnavailableVault',
        'the key service is closed',
        'start it again',
      );
    this.#acquiring ??= (
      this.#auth.type === 'token-file' ? this.#read(this.#auth.tokenFile) : this.#login(this.#auth)
    )
      .then((lease) => this.#hold(lease))
      .finally(() => (this.#acquiring = undefined));
    return await this.#acquiring;
  }

  #hold(lease: Lease): Lease {
    clearTimeout(this.#timer);
    if (this.#closed) return lease;
    this.#lease = lease;
    // A token from a file that can't be renewed is replaced in the file, and read when Vault refuses the old one.
    if (lease.ttl > 0 && (lease.renewable || this.#auth.type !== 'token-file'))
      this.#renewIn((lease.ttl * 2_000) / 3, lease);
    return lease;
  }

  #renewIn(ms: number, lease: Lease): void {
    this.#timer = setTimeout(() => void this.#renew(lease), Math.min(ms, longestTimerMs));
    this.#timer.unref();
  }

  async #renew(lease: Lease): Promise<void> {
    try {
      const renewed = lease.renewable ? await this.#renewSelf(lease) : undefined;
      if (renewed !== undefined) this.#hold(renewed);
      else if (this.#auth.type !== 'token-file') await this.#acquire();
      else
        this.#log.warn(
          { ttlSeconds: lease.ttl },
          'the Vault token nears its maximum TTL; put a new one into its file',
        );
    } catch (error) {
      const reason = error instanceof KeyferryError ? error.message : 'it failed';
      this.#log.warn({ reason }, 'renewing the Vault token failed; trying again');
      if (!this.#closed) this.#renewIn(Math.min(retryMs, Math.max(1_000, lease.ttl * 100)), lease);
    }
  }

  /** `undefined` when this token can't be kept alive: it is gone, or near its maximum TTL. */
  async #renewSelf(lease: Lease): Promise<Lease | undefined> {
    try {
      const answer = await this.#api.request({ path: 'auth/token/renew-self', body: {}, token: lease.token });
      const { lease_duration: ttl, renewable } = readAnswer(renewAnswer, answer).auth;
      return ttl <= lease.firstTtl / 2 ? undefined : { ...lease, ttl, renewable };
    } catch (error) {
      if (error instanceof VaultRefusal) return undefined;
      throw error;
    }
  }

  async #read(tokenFile: string): Promise<Lease> {
    const token = await readCredential(tokenFile);
    const lease = { token, ttl: 0, renewable: false, firstTtl: 0, since: Date.now() };
    try {
      const { ttl, renewable } = readAnswer(
        lookupAnswer,
        await this.#api.request({ path: 'auth/token/lookup-self', token }),
      ).data;
      return { ...lease, ttl, renewable: renewable ?? false, firstTtl: ttl };
    } catch (error) {
      // A token without the default policy may not look itself up: it is used as long as it lasts.
      if (error instanceof VaultRefusal) return lease;
      throw error;
    }
  }

  async #login(auth: VaultLogin): Promise<Lease> {
    const body = await credentialsOf(auth);
    try {
      const answer = await this.#api.request({ path: `auth/${auth.mount}/login`, body });
      const { client_token: token, lease_duration: ttl, renewable } = readAnswer(loginAnswer, answer).auth;
      return { token, ttl, renewable, firstTtl: ttl, since: Date.now() };
    } catch (error) {
      if (!(error instanceof VaultRefusal)) throw error;
      throw loginRefused(auth, error);
    }
  }

  #denied(request: Omit<VaultRequest, 'token'>): KeyServiceError {
    const capability = request.body === undefined ? 'read' : 'update';
    return new KeyServiceError(
      'denied',
      'VaultPermissionDenied',
      `Vault does not permit "${capability}" on ${request.path}`,
      `give the token's policy the capability "${capability}" on ${request.path}, and no "create"`,
    );
  }
}

async function credentialsOf(auth: VaultLogin): Promise<Record<string, string>> {
  if (auth.type === 'kubernetes') return { role: auth.role, jwt: await readCredential(auth.tokenFile) };
  const [roleId, secretId] = await Promise.all([
    readCredential(auth.roleIdFile),
    readCredential(auth.secretIdFile),
  ]);
  return { role_id: roleId, secret_id: secretId };
}

function loginRefused(auth: VaultLogin, { reason }: VaultRefusal): KeyServiceError {
  return auth.type === 'kubernetes'
    ? new KeyServiceError(
        'denied',
        'VaultLoginFailed',
        `the Kubernetes login at auth/${auth.mount} with the role ${auth.role} was refused: ${reason}`,
        `check that the role takes the service account, namespace and audience of the token in ${auth.tokenFile}, and that Vault may review tokens`,
      )
    : new KeyServiceError(
        'denied',
        'VaultLoginFailed',
        `the AppRole login at auth/${auth.mount} was refused: ${reason}`,
        `check role id and secret id (${auth.roleIdFile}, ${auth.secretIdFile}): a secret id can run out or be used up`,
      );
}

function isForbidden(error: unknown): boolean {
  return error instanceof VaultRefusal && error.statusCode === 403;
}

async function readCredential(file: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    const code = systemErrorCode(error) ?? 'unreadable';
    throw new KeyServiceError(
      'denied',
      'VaultLoginFailed',
      `${file} can't be read (${code})`,
      'put the credential there, readable for this user',
    );
  }
  if (text !== '') return text;
  throw new KeyServiceError('denied', 'VaultLoginFailed', `${file} is empty`, 'put the credential there');
}
