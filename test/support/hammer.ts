import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab } from '../../lab/lab.ts';

export interface Hammer {
  /** Updates that were acknowledged. */
  readonly writes: number;
  stop(): Promise<void>;
  /** What was acknowledged and isn't there any more. After `stop` only. */
  lost(): Promise<string[]>;
}

const LANES = 4;
/** Between two updates of a lane, in ms. */
const PAUSE_MS = 20;

/**
 * Updates the same few Secrets again and again, from several sides at once: each lane counts up in a field of its own in every
 * one of them, by patches, so that whoever writes the whole object from what it read a moment ago meets a conflict.
 *
 * @param names - of Secrets in the namespace `default`; made
 */
export async function startHammer(lab: Lab, names: readonly string[]): Promise<Hammer> {
  const stopping = new AbortController();
  const clients = lab.nodes.map((node) => lab.api(node, 'admin', { timeoutMs: 5_000 }));
  const path = (name: string) => `/api/v1/namespaces/default/secrets/${name}`;
  const [first] = clients;
  for (const name of names) {
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name } };
    await first?.expect('POST', '/api/v1/namespaces/default/secrets', body);
  }
  /** By `<name> <lane>`: the last count that was sent, the last that was acknowledged, and those whose outcome is unknown. */
  const counts = new Map<string, { sent: number; acknowledged: number; unknown: Set<number> }>();
  let writes = 0;

  const lanes = Array.from({ length: LANES }, async (_, lane) => {
    for (let turn = lane; !stopping.signal.aborted; turn += 1) {
      const name = names[turn % names.length] ?? '';
      const count = counts.get(`${name} ${lane}`) ?? { sent: 0, acknowledged: 0, unknown: new Set() };
      counts.set(`${name} ${lane}`, count);
      count.sent += 1;
      const sent = count.sent;
      const data = { [`lane-${lane}`]: Buffer.from(String(sent)).toString('base64') };
      try {
        const answer = await clients[turn % clients.length]?.request(
          'PATCH',
          path(name),
          { data },
          'application/merge-patch+json',
        );
        if (answer?.status === 200) {
          count.acknowledged = sent;
          writes += 1;
        } else {
          count.unknown.add(sent);
        }
      } catch {
        // A server that was frozen may still carry it out when it goes on.
        count.unknown.add(sent);
      }
      await sleep(PAUSE_MS);
    }
  });

  return {
    get writes() {
      return writes;
    },
    stop: async () => {
      stopping.abort();
      await Promise.all(lanes);
      for (const client of clients) client.close();
    },
    lost: async () => {
      const client = lab.api();
      const lost: string[] = [];
      for (const name of names) {
        const { text } = await client.expect('GET', path(name));
        const { data = {} } = JSON.parse(text) as { data?: Record<string, string> };
        for (let lane = 0; lane < LANES; lane += 1) {
          const count = counts.get(`${name} ${lane}`);
          // None yet is 0.
          const found = Number(Buffer.from(data[`lane-${lane}`] ?? '', 'base64').toString());
          if (count !== undefined && found !== count.acknowledged && !count.unknown.has(found)) {
            lost.push(`${name} lane-${lane}`);
          }
        }
      }
      client.close();
      return lost;
    },
  };
}
