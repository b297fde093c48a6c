import { createHash, randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HttpAnswer, type HttpClient } from './http.ts';
import { ABSENT, JournalEntry } from './journal-entry.ts';
import { type Lab } from './lab.ts';
import { PLAINTEXT_MARKER } from './seed-content.ts';
import { namespaceObject } from './seed.ts';
import { waitFor } from './wait.ts';

export interface JournalOptions {
  /** Default `journal-1`; made if it isn't there. */
  readonly namespace?: string;
  /** Requests per second, at most (default 50). */
  readonly rate?: number;
  /** Writers side by side, each with objects of its own (default 4). */
  readonly writers?: number;
}

export interface JournalProgress {
  /** Acknowledged creates, updates and deletes. */
  readonly writes: number;
  /** Requests whose outcome the client was never told. */
  readonly unknown: number;
  /** Requests that lost against another writer (409), and were made again from what is there now. */
  readonly conflicts: number;
  /** Answers that something failed (5xx), with status and count; their outcomes are unknown. */
  readonly failed: Readonly<Record<string, number>>;
  /** Requests refused for good, with status and count; expected to be empty. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface JournalReport extends JournalProgress {
  readonly objects: number;
  /** Acknowledged and not to be found any more, with where it was missed. */
  readonly lost: readonly { readonly object: string; readonly where: string }[];
  /** Answered with an error by a server. */
  readonly unreadable: readonly {
    readonly object: string;
    readonly where: string;
    readonly status: number;
  }[];
}

/** Short, because a frozen API server answers nothing: a client with something else to do goes to the next. */
const REQUEST_TIMEOUT_MS = 5_000;
const OBJECTS_PER_WRITER = 25;

/**
 * A client that keeps writing while a migration goes on, and knows afterwards what must be there.
 *
 * Goes through all API servers in turn, and over their restarts. It holds timers only between `start` and `stop`.
 */
export class Journal {
  readonly #lab: Lab;
  readonly #namespace: string;
  readonly #clients: readonly HttpClient[];
  readonly #run = randomBytes(3).toString('hex');
  readonly #entries: JournalEntry[] = [];
  readonly #lost: { object: string; where: string }[] = [];
  readonly #failed: Record<string, number> = {};
  readonly #refused: Record<string, number> = {};
  readonly #stopping = new AbortController();
  #writers: Promise<unknown> = Promise.resolve();
  #turn = 0;
  #writes = 0;
  #unknown = 0;
  #conflicts = 0;

  private constructor(lab: Lab, namespace: string) {
    this.#lab = lab;
    this.#namespace = namespace;
    this.#clients = lab.nodes.map((node) => lab.api(node, 'admin', { timeoutMs: REQUEST_TIMEOUT_MS }));
  }

  /** Starts writing; answers once the namespace is there. */
  static async start(lab: Lab, options: JournalOptions = {}): Promise<Journal> {
    const journal = new Journal(lab, options.namespace ?? 'journal-1');
    // As for what is written afterwards: any API server will do, and one may just be restarting.
    await waitFor({ what: `namespace ${journal.#namespace} to be made`, timeoutMs: 60_000 }, async () => {
      const answer = await journal.#ask('POST', '/api/v1/namespaces', namespaceObject(journal.#namespace));
      return answer?.status === 201 || answer?.status === 409;
    });
    const writers = options.writers ?? 4;
    const pauseMs = (1000 * writers) / (options.rate ?? 50);
    journal.#writers = Promise.all(
      Array.from({ length: writers }, (_, lane) => journal.#write(lane, pauseMs)),
    );
    return journal;
  }

  progress(): JournalProgress {
    return {
      writes: this.#writes,
      unknown: this.#unknown,
      conflicts: this.#conflicts,
      failed: { ...this.#failed },
      refused: { ...this.#refused },
    };
  }

  /** Writes that were found lost so far: a write that meets another's is followed by a look at what is there. */
  get lostSoFar(): number {
    return this.#lost.length;
  }

  /** Ends writing; answers when the last request was answered or given up. Fine to call twice. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#writers;
    for (const client of this.#clients) client.close();
  }

  /** Reads every object through each API server (GET, answered from etcd) and compares. After `stop` only. */
  async check(): Promise<JournalReport> {
    const lost = [...this.#lost];
    const unreadable: { object: string; where: string; status: number }[] = [];
    for (const node of this.#lab.nodes) {
      const client = this.#lab.api(node);
      try {
        for (let i = 0; i < this.#entries.length; i += 32) {
          await Promise.all(
            this.#entries.slice(i, i + 32).map(async (entry) => {
              const answer = await patiently(node, () => client.request('GET', this.#path(entry)));
              const content = contentOf(answer);
              const object = `secrets/${this.#namespace}/${entry.name}`;
              if (content === undefined) unreadable.push({ object, where: node, status: answer.status });
              else if (!entry.possible.includes(content.hash)) lost.push({ object, where: node });
            }),
          );
        }
      } finally {
        client.close();
      }
    }
    return { ...this.progress(), objects: this.#entries.length, lost, unreadable };
  }

  async #write(lane: number, pauseMs: number): Promise<void> {
    const { signal } = this.#stopping;
    const mine: JournalEntry[] = [];
    let made = 0;
    while (!signal.aborted) {
      const began = Date.now();
      const entry = mine[randomInt(Math.max(1, mine.length))];
      if (entry === undefined || (mine.length < OBJECTS_PER_WRITER && randomInt(4) === 0)) {
        const created = new JournalEntry(`journal-${this.#run}-${lane}-${++made}`);
        this.#entries.push(created);
        await this.#create(created);
        mine.push(created);
      } else if (entry.resourceVersion === undefined) {
        await this.#look(entry);
      } else {
        await (randomInt(10) === 0 ? this.#delete(entry) : this.#update(entry));
      }
      if (entry?.gone === true) mine.splice(mine.indexOf(entry), 1);
      const rest = pauseMs - (Date.now() - began);
      if (rest > 0) await sleep(rest, undefined, { signal }).catch(() => undefined);
    }
  }

  async #create(entry: JournalEntry): Promise<void> {
    const { body, hash } = newContent(entry.name);
    const answer = await this.#ask('POST', `/api/v1/namespaces/${this.#namespace}/secrets`, body);
    this.#settle(entry, answer, hash);
  }

  async #update(entry: JournalEntry): Promise<void> {
    const { body, hash } = newContent(entry.name, entry.resourceVersion);
    this.#settle(entry, await this.#ask('PUT', this.#path(entry), body), hash);
  }

  async #delete(entry: JournalEntry): Promise<void> {
    const { resourceVersion } = entry;
    const answer = await this.#ask('DELETE', this.#path(entry), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { resourceVersion },
    });
    this.#settle(entry, answer, ABSENT);
  }

  /** Reads before the next write, after an unknown outcome or another writer's. */
  async #look(entry: JournalEntry): Promise<void> {
    const answer = await this.#ask('GET', this.#path(entry));
    const content = answer === undefined ? undefined : contentOf(answer);
    if (content === undefined || entry.seen(content.hash, content.resourceVersion)) return;
    this.#lost.push({ object: `secrets/${this.#namespace}/${entry.name}`, where: 'while writing' });
    entry.acknowledged(content.hash, content.resourceVersion);
  }

  /** Takes in the answer to a write that was to make the object `content`. */
  #settle(entry: JournalEntry, answer: HttpAnswer | undefined, content: string): void {
    if (answer !== undefined && answer.status >= 200 && answer.status < 300) {
      this.#writes++;
      entry.acknowledged(content, content === ABSENT ? undefined : contentOf(answer)?.resourceVersion);
    } else if (answer === undefined || answer.status >= 500) {
      // An error may also mean: done, but not told in time.
      this.#unknown++;
      if (answer !== undefined) count(this.#failed, answer.status);
      entry.unknown(content);
    } else if (answer.status === 409) {
      this.#conflicts++;
      entry.resourceVersion = undefined;
    } else if (answer.status !== 429) {
      count(this.#refused, answer.status);
      entry.resourceVersion = undefined;
    }
  }

  /** Asks the next server in turn; undefined when there was no answer. */
  async #ask(method: string, path: string, body?: unknown): Promise<HttpAnswer | undefined> {
    const client = this.#clients[this.#turn++ % this.#clients.length];
    try {
      return await client?.request(method, path, body);
    } catch {
      return undefined;
    }
  }

  #path(entry: JournalEntry): string {
    return `/api/v1/namespaces/${this.#namespace}/secrets/${entry.name}`;
  }
}

function newContent(name: string, resourceVersion?: string): { body: unknown; hash: string } {
  const value = Buffer.from(`${PLAINTEXT_MARKER}journal-${randomBytes(randomInt(50, 500)).toString('hex')}`);
  const data = { value: value.toString('base64') };
  const metadata = { name, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  return { body: { apiVersion: 'v1', kind: 'Secret', metadata, data }, hash: hashOf(data) };
}

/** What an answer says about the object; undefined when it says nothing (an error other than 404). */
function contentOf(answer: HttpAnswer): { hash: string; resourceVersion: string | undefined } | undefined {
  if (answer.status === 404) return { hash: ABSENT, resourceVersion: undefined };
  if (answer.status < 200 || answer.status > 299) return undefined;
  const object = JSON.parse(answer.text) as {
    metadata?: { resourceVersion?: string };
    data?: Record<string, string>;
  };
  return { hash: hashOf(object.data ?? {}), resourceVersion: object.metadata?.resourceVersion };
}

function count(statuses: Record<string, number>, status: number): void {
  statuses[status] = (statuses[status] ?? 0) + 1;
}

function hashOf(data: Record<string, string>): string {
  return createHash('sha256').update(JSON.stringify(data)).digest('hex');
}

/** For the check: a server that is just coming back is waited for. */
function patiently(node: string, request: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  return waitFor({ what: `an answer of ${node}`, timeoutMs: 60_000, intervalMs: 500 }, async () => {
    const answer = await request();
    return answer.status === 429 ? undefined : answer;
  });
}
