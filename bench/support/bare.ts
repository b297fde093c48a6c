import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import { apiServerUrl, readToken } from '../../lab/api-server.ts';
import type { Lab } from '../../lab/lab.ts';
import type { EnvelopeChain } from '../../src/envelope/chain.ts';
import { BareEtcd, type Put } from './bare-etcd.ts';
import { nameOf, namespaceOf, NAMESPACES } from './fill.ts';

/** Keys, as many as etcd takes in a transaction. */
const PUTS = 128;
const LANES = 8;

/**
 * No-op PATCHes through all API servers in turn, as fast as they answer: what a script could reach that knows every name, and
 * looks at nothing but the status.
 */
export async function patchAll(lab: Lab, count: number, concurrency: number): Promise<void> {
  const servers = lab.config.apiServers.map((server) => ({
    origin: apiServerUrl(server),
    agent: new Agent({
      connections: concurrency,
      // What costs both sides least.
      allowH2: false,
      connect: { ca: readFileSync(lab.paths.node(server.node).certificate) },
    }),
  }));
  const headers = {
    authorization: `Bearer ${readToken(lab.paths, 'admin')}`,
    accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
    'content-type': 'application/merge-patch+json',
  };
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      const { origin, agent } = servers[index % servers.length] ?? { origin: '', agent: undefined };
      const path = `/api/v1/namespaces/${namespaceOf(index)}/secrets/${nameOf(index)}`;
      const answer = await agent?.request({ origin, path, method: 'PATCH', headers, body: '{}' });
      await answer?.body.dump();
      if (answer?.statusCode !== 200) throw new Error(`${path} answered ${answer?.statusCode ?? 'nothing'}`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  await Promise.all(servers.map(async ({ agent }) => await agent.close()));
}

/**
 * Opens every Secret of the benchmark, seals it by a chain's first provider, and puts it back where it is still the one that was read: 128 to
 * a transaction, a few at a time. What lost is left.
 *
 * @returns how many were written
 */
export async function swapAll(lab: Lab, from: EnvelopeChain, to: EnvelopeChain): Promise<number> {
  const etcd = new BareEtcd(lab);
  let written = 0;
  const ranges = Array.from({ length: NAMESPACES }, (_, i) => `/registry/secrets/${namespaceOf(i)}`);
  const lane = async () => {
    for (let range = ranges.shift(); range !== undefined; range = ranges.shift()) {
      // '0' is the byte after '/'.
      const end = Buffer.from(`${range}0`);
      let start: Buffer | undefined = Buffer.from(`${range}/`);
      while (start !== undefined) {
        const page: Required<Put>[] = await etcd.page(start, end, PUTS);
        const puts: Put[] = [];
        for (const { key, value, modRevision } of page) {
          const { plaintext } = await from.open(value, key);
          puts.push({ key, value: await to.seal(plaintext, key), modRevision });
        }
        if (puts.length > 0 && (await etcd.put(puts))) written += puts.length;
        const last = page.at(-1);
        start =
          page.length < PUTS || last === undefined ? undefined : Buffer.concat([last.key, Buffer.alloc(1)]);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  etcd.close();
  return written;
}
