import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab } from '../../lab/lab.ts';

export interface Readiness {
  /** The nodes that were down at some time, and the most that were down at once. */
  readonly seen: { readonly down: ReadonlySet<string>; readonly atOnce: number };
  stop(): Promise<void>;
}

/** Asks every API server again and again whether it is ready. */
export function watchReadiness(lab: Lab): Readiness {
  const stopping = new AbortController();
  const down = new Set<string>();
  let atOnce = 0;
  const clients = lab.nodes.map((node) => ({ node, api: lab.api(node, 'admin', { timeoutMs: 5_000 }) }));

  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const answers = await Promise.all(
        clients.map(async ({ node, api }) => ((await isReady(api)) ? undefined : node)),
      );
      const missing = answers.filter((node) => node !== undefined);
      missing.forEach((node) => down.add(node));
      atOnce = Math.max(atOnce, missing.length);
      await sleep(100, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    for (const { api } of clients) api.close();
  })();

  return {
    get seen() {
      return { down, atOnce };
    },
    stop: async () => {
      stopping.abort();
      await watching;
    },
  };
}

async function isReady(api: ReturnType<Lab['api']>): Promise<boolean> {
  try {
    return (await api.request('GET', '/readyz')).status === 200;
  } catch {
    return false;
  }
}
