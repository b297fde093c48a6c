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

describe('a 403 of an API server', () => {
  let server: Server;
  let api: ApiServer;
  /** What the next request is answered with, by path; the last of each stays. */
  let answers: Record<string, [status: number, body: object][]>;
  let asked: string[];

  beforeEach(async () => {
    asked = [];
    server = createServer((request, response) => {
      const path = request.url ?? '';
      asked.push(path);
      const left = answers[path] ?? [];
      const [status, body] = (left.length > 1 ? left.shift() : left[0]) ?? [404, {}];
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const kubeconfig = new KubeConfig();
    kubeconfig.loadFromClusterAndUser(
      { name: 'cp-1', server: url, skipTLSVerify: true },
      { name: 'keyferry', token: 't' },
    );
    api = new ApiServer({ name: 'cp-1', server: url }, () => kubeconfig, 1);
  });
  afterEach(async () => {
    await api.close();
    await new Promise((closed) => server.close(closed));
  });

  const patch = () => api.request({ method: 'PATCH', path: '/a', body: {} });

  it('that has just started passes: it has not loaded its roles yet', async () => {
    answers = { '/a': [[403, FORBIDDEN]], '/readyz': [[500, {}]] };
    await expect(patch()).rejects.toMatchObject({ code: 'StartingApiServer', retryable: true });
  });

  it('that became ready in between is asked again', async () => {
    answers = {
      '/a': [
        [403, FORBIDDEN],
        [200, {}],
      ],
      '/readyz': [[200, {}]],
    };
    expect((await patch()).status).toBe(200);
  });

  it('that is ready stands', async () => {
    answers = { '/a': [[403, FORBIDDEN]], '/readyz': [[200, {}]] };
    expect((await patch()).status).toBe(403);
  });

  it('of a webhook stands, and nothing else is asked', async () => {
    const message = 'admission webhook "a.example.com" denied the request';
    answers = { '/a': [[403, { ...FORBIDDEN, message }]] };
    expect((await patch()).status).toBe(403);
    expect(asked).toEqual(['/a']);
  });
});
