import { spawn } from 'node:child_process';
import { KeyferryError } from '../../src/errors.ts';
import { TASK_QUEUE, TEMPORAL_NAMESPACE } from '../config.ts';
import { shellQuote } from '../keyferry-processes.ts';
import { type Lab } from '../lab.ts';
import { keyferryMain } from '../paths.ts';
import { temporalAddress } from '../temporal.ts';
import { type Narrator } from './narrator.ts';

export interface Answer {
  readonly exitCode: number;
  readonly output: string;
}

/** The keyferry command, run as a user would: a process of its own, pointed at the lab's Temporal by the environment. */
export class Keyferry {
  readonly #lab: Lab;
  readonly #narrator: Narrator;
  readonly #signal: AbortSignal;

  constructor(lab: Lab, narrator: Narrator, signal: AbortSignal) {
    this.#lab = lab;
    this.#narrator = narrator;
    this.#signal = signal;
  }

  /** What a user would export first. */
  get environment(): string {
    return `export TEMPORAL_ADDRESS=${temporalAddress(this.#lab.config)}`;
  }

  /**
   * Runs a command before the audience: what is typed, then what it answers.
   *
   * @param options.shorten - keeps of the answer what is worth showing
   * @throws KeyferryError `DemoCommand` when its exit code isn't the expected one
   */
  async type(
    args: readonly string[],
    options: { exitCode?: number; shorten?: (output: string) => string } = {},
  ): Promise<Answer> {
    const { exitCode: expected = 0, shorten = (output: string) => output } = options;
    const command = `keyferry ${args.map(quoted).join(' ')}`;
    this.#narrator.typed(command);
    const answer = await this.#run(args);
    this.#narrator.show(shorten(answer.output.trimEnd()));
    if (answer.exitCode !== 0) this.#narrator.show(`(exit code ${answer.exitCode})`);
    if (answer.exitCode !== expected) throw unexpected(command, answer, expected);
    return answer;
  }

  /** Runs a command unseen, and reads its answer as JSON. */
  async ask<T>(args: readonly string[]): Promise<T> {
    const answer = await this.#run([...args, '--json']);
    try {
      return JSON.parse(answer.output) as T;
    } catch {
      throw unexpected(`keyferry ${args.join(' ')} --json`, answer, 0);
    }
  }

  /** Starts a command that goes on answering; it is killed with the demo. */
  stream(args: readonly string[]) {
    return spawn(process.execPath, [keyferryMain(), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#env(),
      signal: this.#signal,
    });
  }

  async #run(args: readonly string[]): Promise<Answer> {
    const child = this.stream(args);
    // Both in one, in the order in which a terminal would show them.
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => (output += part));
    }
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 1));
    });
    return { exitCode, output };
  }

  #env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      TEMPORAL_ADDRESS: temporalAddress(this.#lab.config),
      TEMPORAL_NAMESPACE,
      KEYFERRY_TASK_QUEUE: TASK_QUEUE,
    };
  }
}

function unexpected(command: string, answer: Answer, expected: number): KeyferryError {
  return new KeyferryError(
    'DemoCommand',
    `"${command}" ended with exit code ${answer.exitCode} instead of ${expected}: ${answer.output.trim().slice(0, 2_000)}`,
    { remedy: 'Run the demo again with --keep, and look at the logs in the folder of the lab.' },
  );
}

/** As people quote: sentences in double quotes. */
function quoted(word: string): string {
  return /^[\w ,.:;?-]* [\w ,.:;?-]*$/.test(word) ? `"${word}"` : shellQuote(word);
}
