import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyferryError } from '../../src/errors.ts';
import type { Progress } from '../../src/plan/progress.ts';
import { type Journal } from '../journal.ts';
import { type Keyferry } from './keyferry.ts';
import { figure, type Narrator } from './narrator.ts';

/** What `keyferry status --watch --json` answers, a line whenever it changes. */
export interface View {
  readonly workflowId: string;
  readonly execution: string;
  readonly progress?: Progress;
  readonly silent?: string;
  readonly troubles: readonly string[];
}

/** How the CLI renders what it answers; the lab is below the CLI, so it is handed in. */
export interface Rendering {
  /** Two bars, source and target. */
  bars(progress: Progress): string;
  /** One line, which also says for how long it has waited, seen from `now` (milliseconds since the epoch). */
  line(view: View, now: number): string;
}

const LOOK_MS = 250;
/** Without a terminal: lines at most so often while something changes, and so often while nothing does. */
const LINE_MS = 2_500;
const QUIET_LINE_MS = 20_000;
const PATIENCE_MS = 10 * 60_000;

/** The live view of a migration: what `keyferry status --watch` says, with the client that keeps writing below it. */
export class Watch {
  readonly #narrator: Narrator;
  readonly #rendering: Rendering;
  readonly #journal: Journal;
  readonly #signal: AbortSignal;
  readonly #stop: () => void;
  #view: View | undefined;
  /** What it said last, once it is over. */
  #ended: string | undefined = undefined;
  #lastLine = '';
  #lastLineAt = 0;

  constructor(
    keyferry: Keyferry,
    narrator: Narrator,
    rendering: Rendering,
    journal: Journal,
    signal: AbortSignal,
  ) {
    this.#narrator = narrator;
    this.#rendering = rendering;
    this.#journal = journal;
    this.#signal = signal;
    const child = keyferry.stream(['status', '--watch', '--json']);
    let errors = '';
    child.stderr.on('data', (data: Buffer) => (errors = (errors + data.toString()).slice(-2_000)));
    createInterface(child.stdout).on('line', (line) => (this.#view = JSON.parse(line) as View));
    child.once('error', () => undefined);
    child.once('close', () => (this.#ended = errors));
    this.#stop = () => void child.kill();
  }

  get workflowId(): string {
    return this.#view?.workflowId ?? '';
  }

  /** The newest progress that a worker told. */
  get progress(): Progress | undefined {
    return this.#view?.progress;
  }

  /** Waits for the first look, and shows nothing. */
  async seen(): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#view === undefined) {
      this.#refuse('a first look at the migration', undefined, deadline);
      await sleep(LOOK_MS, undefined, { signal: this.#signal });
    }
  }

  /**
   * Shows the migration until it has got somewhere.
   *
   * @param what - as it reads after "waited for"
   * @throws KeyferryError `TimeoutDemo` after 10 minutes, `DemoMigration` when the migration stops or ends elsewhere
   */
  async until(what: string, there: (progress: Progress) => boolean): Promise<Progress> {
    const deadline = Date.now() + PATIENCE_MS;
    try {
      for (;;) {
        this.#signal.throwIfAborted();
        const view = this.#view;
        const arrived = view?.progress !== undefined && there(view.progress);
        if (view !== undefined) this.#show(view, arrived);
        if (arrived) return view.progress;
        this.#refuse(what, view, deadline);
        await sleep(LOOK_MS, undefined, { signal: this.#signal });
      }
    } finally {
      this.#narrator.settle();
    }
  }

  /** One line of what the client has done so far. */
  client(): string {
    const { writes, unknown } = this.#journal.progress();
    const open = unknown === 0 ? '' : ` · without an answer ${figure(unknown)}`;
    return `writes ${figure(writes)} · lost ${figure(this.#journal.lostSoFar)}${open}`;
  }

  stop(): void {
    this.#stop();
  }

  #show(view: View, last: boolean): void {
    if (this.#narrator.canRedraw) {
      const { progress } = view;
      const head =
        progress === undefined
          ? [this.#rendering.line(view, Date.now())]
          : [
              `${progress.phase} (${progress.state})${speed(progress)}`,
              progress.waitingFor,
              '',
              this.#rendering.bars(progress),
            ];
      this.#narrator.redraw([...head, '', `the client: ${this.client()}`].join('\n'));
      return;
    }
    // Told without how long it has lasted, a wait is the same line as long as it is the same wait.
    const line = this.#rendering.line(view, view.progress?.waitingSince ?? 0);
    const since = Date.now() - this.#lastLineAt;
    if (!last && since < (line === this.#lastLine ? QUIET_LINE_MS : LINE_MS)) return;
    this.#lastLine = line;
    this.#lastLineAt = Date.now();
    this.#narrator.show(`${line} · ${this.client()}`);
  }

  #refuse(what: string, view: View | undefined, deadline: number): void {
    const where = view === undefined ? 'it was never seen' : this.#rendering.line(view, Date.now());
    const ended = this.#ended !== undefined || (view !== undefined && view.execution !== 'RUNNING');
    if (ended) {
      throw new KeyferryError(
        'DemoMigration',
        `The migration ended before ${what}: ${where} ${this.#ended ?? ''}`.trim(),
        {
          remedy: 'Run the demo again with --keep, and look at "keyferry report" and at the logs.',
        },
      );
    }
    if (Date.now() < deadline) return;
    throw new KeyferryError('TimeoutDemo', `Waited ${PATIENCE_MS / 60_000} min for ${what}: ${where}`, {
      remedy: 'Run the demo again with --keep, and look at the logs of what it waits for.',
    });
  }
}

function speed({ state, rate }: Progress): string {
  return state === 'running' && rate > 0 ? ` · ${figure(Math.round(rate))} objects/s` : '';
}
