import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab } from '../../lab/lab.ts';

export interface SelfieWriter {
  /** Updates that were acknowledged. */
  readonly writes: number;
  stop(): Promise<void>;
  /** The objects that don't say what was acknowledged last. After `stop` only. */
  lost(): Promise<string[]>;
}

const OBJECTS = 5;
const PAUSE_MS = 50;
const SELFIES = '/apis/stable.example.com';

/** Makes a few SelfieRequests and counts up in them, by v1 and v2 in turn, through every API server. */
export async function startSelfieWriter(lab: Lab): Promise<SelfieWriter> {
  const stopping = new AbortController();
  const clients = lab.nodes.map((node) => lab.api(node, 'admin', { timeoutMs: 10_000 }));
  const path = (version: string, i: number) =>
    `${SELFIES}/${version}/namespaces/default/selfierequests/writer-${i}`;
  /** By object: the last count that was acknowledged, and those whose outcome is unknown. */
  const counts = Array.from({ length: OBJECTS }, () => ({ acknowledged: -1, unknown: new Set<number>() }));
  let writes = 0;
  for (let i = 0; i < OBJECTS; i += 1) {
    await clients[0]?.expect('POST', path('v2', i).replace(/\/[^/]*$/, ''), {
      apiVersion: 'stable.example.com/v2',
      kind: 'SelfieRequest',
      metadata: { name: `writer-${i}` },
    });
  }

  const working = (async () => {
    for (let turn = 0; !stopping.signal.aborted; turn += 1) {
      const i = turn % OBJECTS;
      const count = counts[i];
      if (count === undefined) break;
      const older = turn % 3 === 0;
      const body = older ? { hostPort: `w:${turn}` } : { host: 'w', port: String(turn) };
      try {
        const answer = await clients[turn % clients.length]?.request(
          'PATCH',
          path(older ? 'v1' : 'v2', i),
          body,
          'application/merge-patch+json',
        );
        if (answer?.status === 200) {
          count.acknowledged = turn;
          count.unknown.clear();
          writes += 1;
        } else {
          count.unknown.add(turn);
        }
      } catch {
        count.unknown.add(turn);
      }
      await sleep(PAUSE_MS);
    }
  })();

  return {
    get writes() {
      return writes;
    },
    stop: async () => {
      stopping.abort();
      await working;
      for (const client of clients) client.close();
    },
    lost: async () => {
      const client = lab.api();
      const lost: string[] = [];
      for (const [i, { acknowledged, unknown }] of counts.entries()) {
        const { text } = await client.expect('GET', path('v2', i));
        const { port } = JSON.parse(text) as { port?: string };
        const found = Number(port ?? -1);
        if (found !== acknowledged && !unknown.has(found))
          lost.push(`writer-${i}: ${found} instead of ${acknowledged}`);
      }
      client.close();
      return lost;
    },
  };
}
