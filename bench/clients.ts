// What other clients of the API servers feel of a migration: npm run bench:clients [-- SECRETS]
//
// One lab: two API servers, SECRETS (20,000) Secrets of 1 KiB. A client sends 40 requests a second, whether those before have been
// answered or not, to both API servers in turn: reads and updates of Secrets of its own. Its latency is measured while nothing is migrated,
// and while each engine rewrites, with the governor as it is by default, and at rates that an operator might choose. Times count from
// when a request was due. Raw results go to bench/results/clients.json.
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpClient } from '../lab/http.ts';
import type { Lab } from '../lab/lab.ts';
import { ensureNamespace } from '../lab/seed.ts';
import { Bench } from './support/bench.ts';
import { keepRun } from './support/results.ts';

const EVERY_MS = 25;
const OBJECTS = 50;
const IDLE_MS = 40_000;
const NAMESPACE = 'client';

const cases = [
  { what: 'Etcd', engine: 'Etcd', objectsPerSecond: 0 },
  { what: 'Etcd, 1,000 objects a second', engine: 'Etcd', objectsPerSecond: 1_000 },
  { what: 'APIServer', engine: 'APIServer', objectsPerSecond: 0 },
  { what: 'APIServer, 400 objects a second', engine: 'APIServer', objectsPerSecond: 400 },
  { what: 'APIServer, 200 objects a second', engine: 'APIServer', objectsPerSecond: 200 },
] as const;

interface Result {
  readonly what: string;
  readonly requests: number;
  readonly failed: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Objects that were rewritten in a second meanwhile. */
  readonly rate?: number;
}

/** Sends requests at fixed times until it is told to stop. */
class Client {
  readonly #apis: readonly HttpClient[];
  readonly #latencies: number[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #failed = 0;
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(lab: Lab) {
    this.#apis = lab.nodes.map((node) => lab.api(node));
  }

  static async start(lab: Lab): Promise<Client> {
    const client = new Client(lab);
    const [api] = client.#apis;
    if (api !== undefined) await ensureNamespace(api, NAMESPACE);
    for (let i = 0; i < OBJECTS; i += 1) {
      await api?.expect('POST', `/api/v1/namespaces/${NAMESPACE}/secrets`, secretOf(i), [409]);
    }
    const begun = performance.now();
    client.#timer = setInterval(() => {
      // A timer that comes late sends what was due meanwhile: the time that it was late by is latency as well.
      while (begun + client.#sent * EVERY_MS <= performance.now()) {
        const request = client.#send(client.#sent, begun + client.#sent * EVERY_MS);
        client.#sent += 1;
        client.#underWay.add(request);
        void request.finally(() => client.#underWay.delete(request));
      }
    }, EVERY_MS);
    return client;
  }

  async stop(what: string): Promise<Result> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    for (const api of this.#apis) api.close();
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (part: number) =>
      Math.round((sorted[Math.floor(part * (sorted.length - 1))] ?? NaN) * 10) / 10;
    return { what, requests: sorted.length, failed: this.#failed, p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  async #send(index: number, dueAt: number): Promise<void> {
    const api = this.#apis[index % this.#apis.length];
    const path = `/api/v1/namespaces/${NAMESPACE}/secrets/${nameOf(index % OBJECTS)}`;
    // Half of them write.
    const writes = Math.floor(index / this.#apis.length) % 2 === 0;
    try {
      const body = { stringData: { turn: String(index) } };
      const answer = await (writes
        ? api?.request('PATCH', path, body, 'application/merge-patch+json')
        : api?.request('GET', path));
      if (answer?.status !== 200) this.#failed += 1;
    } catch {
      this.#failed += 1;
    }
    this.#latencies.push(performance.now() - dueAt);
  }
}

function nameOf(index: number): string {
  return `mine-${index}`;
}

function secretOf(index: number): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: nameOf(index) }, stringData: { turn: '' } };
}

async function measure(secrets: number): Promise<Result[]> {
  const bench = await Bench.up(secrets);
  const { lab } = bench.plane;
  const results: Result[] = [];
  try {
    const idle = await Client.start(lab);
    await sleep(IDLE_MS);
    results.push(await idle.stop('no migration'));
    for (const { what, engine, objectsPerSecond } of cases) {
      let client: Client | undefined;
      const { rewriting } = await bench.migrateAndBack(engine, {
        // As a Migration has it that doesn't say.
        pace: { objectsPerSecond },
        whenRewriting: async () => {
          client = await Client.start(lab);
        },
        whenRewritten: async () => {
          if (client !== undefined) results.push(await client.stop(what));
        },
      });
      const rate = Math.round(rewriting.rewritten / rewriting.seconds);
      results.push({ ...(results.pop() as Result), rate });
    }
  } finally {
    await bench.down();
  }
  return results;
}

const [secrets = 20_000] = process.argv.slice(2).map(Number);
const results = await measure(secrets);
keepRun('clients.json', { secrets, results });
const [none] = results;
console.log(
  '| | objects/s | requests | failed | p50, ms | p99, ms | p99 against none |\n|---|---|---|---|---|---|---|',
);
for (const { what, rate, requests, failed, p50, p99 } of results) {
  console.log(
    `| ${what} | ${rate ?? ''} | ${requests} | ${failed} | ${p50} | ${p99} | ${(p99 / (none?.p99 ?? NaN)).toFixed(1)} |`,
  );
}
