import { setTimeout as sleep } from 'node:timers/promises';
import { accepts } from '../../lab/ports.ts';
import { parseEncryptionConfiguration } from '../../src/encryption-config/index.ts';
import { type KeyServiceName } from './journey.ts';

/** Far shorter than any phase that edits files: each arrangement of a file is seen. */
const LOOK_MS = 250;

/**
 * Looks at the kms providers in the files of all nodes while a migration runs: they are two at most, each at a socket of its own
 * where a plugin listens.
 */
export class PluginWatch {
  readonly #wrong = new Set<string>();
  /** For each node, which providers were in its file at once. */
  readonly #seen = new Map<string, Set<string>>();
  readonly #stop = new AbortController();
  #looking: Promise<void> = Promise.resolve();

  /** @param configurations - reads the EncryptionConfiguration of each node, by node */
  static start(configurations: () => Readonly<Record<string, string>>): PluginWatch {
    const watch = new PluginWatch();
    watch.#looking = watch.#look(configurations).catch((error: unknown) => {
      watch.#wrong.add(String(error));
    });
    return watch;
  }

  /**
   * @param expected - the key services of the migration: on every node they have to have been seen at once
   * @returns what was wrong
   */
  async stop(expected: readonly KeyServiceName[]): Promise<string[]> {
    this.#stop.abort();
    await this.#looking;
    const together = [...expected].sort().join(', ');
    for (const [node, seen] of this.#seen) {
      if (!seen.has(together))
        this.#wrong.add(`${node} never had the kms providers ${together} side by side`);
    }
    return [...this.#wrong];
  }

  async #look(configurations: () => Readonly<Record<string, string>>): Promise<void> {
    const { signal } = this.#stop;
    do {
      for (const [node, text] of Object.entries(configurations())) await this.#judge(node, text);
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    } while (!signal.aborted);
  }

  async #judge(node: string, text: string): Promise<void> {
    const sockets = new Map(
      parseEncryptionConfiguration(text).entries.flatMap(({ providers }) =>
        providers.flatMap((one) => (one.type === 'kms' ? [[one.name, one.endpoint.slice(7)] as const] : [])),
      ),
    );
    const names = [...sockets.keys()].sort().join(', ');
    this.#seen.set(node, (this.#seen.get(node) ?? new Set()).add(names));
    if (sockets.size > 2) this.#wrong.add(`${node} had the kms providers ${names} at once`);
    if (new Set(sockets.values()).size < sockets.size) this.#wrong.add(`${node}: ${names} share a socket`);
    for (const [name, socket] of sockets) {
      if (!(await accepts(socket))) this.#wrong.add(`${node} had ${name} in its file while nothing listened`);
    }
  }
}
