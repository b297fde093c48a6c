import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { ApiServer } from './api-server.ts';

const FORBIDDEN = {
  kind: 'Status',
  code: 403,
  reason: 'Forbidden',
  message: 'secrets "a" is forbidden: User "keyferry" cannot patch resource "secrets" in API group "" in x',
};

describe('an API server', () => {
  let server: Server;
  let api: ApiServer;
  /** What the next request is answered with, by path; the last of each stays. */
  let answers: Record<string, [status: number, body: object][]>;
  let asked: string[];
  /** What the kubeconfig says now, and what each request came with. */
  let token: string;
  let shown: (string | undefined)[];

  beforeEach(async () => {
    asked = [];
    token = 'of the first day';
    shown = [];
    server = createServer((request, response) => {
      const path = request.url ?? '';
      asked.push(path);
      shown.push(request.headers.authorization);
      const left = answers[path] ?? [];
      const [status, body] = (left.length > 1 ? left.shift() : left[0]) ?? [404, {}];
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const load = (): KubeConfig => {
      const kubeconfig = new KubeConfig();
      if (token === '') throw new Error('half written');
      kubeconfig.loadFromClusterAndUser(
        { name: 'cp-1', server: url, skipTLSVerify: true },
        { name: 'keyferry', token },
      );
      return kubeconfig;
    };
    api = new ApiServer({ name: 'cp-1', server: url }, load, 1);
  });
  afterEach(async () => {
    await api.close();
    await new Promise((closed) => server.close(closed));
  });

  const patch = () => api.request({ method: 'PATCH', path: '/a', body: {} });

  it('whose 403 comes when it has just started is waited for: it has not loaded its roles yet', async () => {
    answers = { '/a': [[403, FORBIDDEN]], '/readyz': [[500, {}]] };
    await expect(patch()).rejects.toMatchObject({ code: 'StartingApiServer', retryable: true });
  });

  it('that answered 403 and became ready in between is asked again', async () => {
    answers = {
      '/a': [
        [403, FORBIDDEN],
        [200, {}],
      ],
      '/readyz': [[200, {}]],
    };
    expect((await patch()).status).toBe(200);
  });

  it('that is ready means its 403', async () => {
    answers = { '/a': [[403, FORBIDDEN]], '/readyz': [[200, {}]] };
    expect((await patch()).status).toBe(403);
  });

  it('means the 403 of a webhook, and nothing else is asked', async () => {
    const message = 'admission webhook "a.example.com" denied the request';
    answers = { '/a': [[403, { ...FORBIDDEN, message }]] };
    expect((await patch()).status).toBe(403);
    expect(asked).toEqual(['/a']);
  });

  it('that answers 401 is asked again with the credentials that the kubeconfig has by now', async () => {
    answers = {
      '/a': [
        [200, {}],
        [401, {}],
        [200, {}],
      ],
    };
    await patch();
    token = 'of another day';
    expect((await patch()).status).toBe(200);
    expect(shown).toEqual(['Bearer of the first day', 'Bearer of the first day', 'Bearer of another day']);
  });

  it('that answers 401 while the kubeconfig is being written is asked with what it had', async () => {
    answers = { '/a': [[401, {}]] };
    token = '';
    expect((await patch()).status).toBe(401);
    expect(shown).toEqual(['Bearer of the first day', 'Bearer of the first day']);
  });
});
