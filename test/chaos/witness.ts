import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningMigration } from '../support/running-migration.ts';

const EVERY_MS = 300;

export const NO_ANSWER = '(no answer)';

/** What a migration said, and for how many milliseconds. */
export interface Said {
  readonly words: string;
  readonly ms: number;
}

/** Asks a migration again and again what it waits for, as an operator would, and keeps each answer. */
export class Witness {
  readonly #stopping = new AbortController();
  readonly #asking: Promise<void>;
  #said = new Map<string, number>();

  constructor(migration: RunningMigration) {
    this.#asking = this.#ask(migration);
  }

  /** What was said since the last time, in order, each text once. */
  take(): Said[] {
    const said = [...this.#said].map(([words, ms]) => ({ words, ms }));
    this.#said = new Map();
    return said;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#asking;
  }

  async #ask(migration: RunningMigration): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const asked = Date.now();
      const words = await migration.progress().then(
        // What shards stall on says more than that they are walked.
        ({ waitingFor, shards }) => (shards.stalled.length > 0 ? shards.stalled : [waitingFor]),
        () => [NO_ANSWER],
      );
      await sleep(EVERY_MS, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      for (const word of words) this.#said.set(word, (this.#said.get(word) ?? 0) + Date.now() - asked);
    }
  }
}
