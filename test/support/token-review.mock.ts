import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';

interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

/** Plays the one part of a Kubernetes API server that Vault's Kubernetes auth method asks: whose token this is. */
export class TokenReviewMock {
  readonly #server: Server;
  readonly #accounts = new Map<string, ServiceAccount>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const review = JSON.parse(Buffer.concat(chunks).toString()) as { spec: { token: string } };
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(this.#review(review.spec.token)));
      });
    });
    // Vault says "permission denied" where a connection that it meant to use again was closed that very moment.
    this.#server.keepAliveTimeout = 0;
  }

  static async start(): Promise<TokenReviewMock> {
    const mock = new TokenReviewMock();
    await new Promise<void>((resolve) => mock.#server.listen(0, '127.0.0.1', resolve));
    return mock;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** @returns a token as a service account has it; its signature is none, for only this server looks at tokens */
  issue(namespace: string, name: string): string {
    const part = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url');
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'https://kubernetes.default.svc',
      sub: `system:serviceaccount:${namespace}:${name}`,
      // Well before: tests move the clock of this process.
      nbf: now - 3_600,
      exp: now + 3_600,
      jti: String(this.#accounts.size),
      'kubernetes.io': { namespace, serviceaccount: { name, uid: `uid-of-${name}` } },
    };
    const signature = Buffer.alloc(256, this.#accounts.size + 1).toString('base64url');
    const token = [part({ alg: 'RS256', kid: 'test' }), part(claims), signature].join('.');
    this.#accounts.set(token, { namespace, name });
    return token;
  }

  /** A token that was issued is good no more. */
  revoke(token: string): void {
    this.#accounts.delete(token);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #review(token: string): object {
    const account = this.#accounts.get(token);
    const kind = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview' };
    if (account === undefined) return { ...kind, status: { authenticated: false } };
    const { namespace, name } = account;
    const username = `system:serviceaccount:${namespace}:${name}`;
    return { ...kind, status: { authenticated: true, user: { username, uid: `uid-of-${name}` } } };
  }
}
