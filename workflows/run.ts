import { CancellationScope, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import ms, { type StringValue } from 'ms';
import { NOTHING } from '../src/plan/counts.ts';
import { parseMessage, type Message, type MessageKind, type Verdict } from '../src/plan/messages.ts';
import { withSample, type Progress } from '../src/plan/progress.ts';
import { clipped } from '../src/plan/words.ts';
import type { ClusterSpec, PaceSpec } from '../src/spec/migration.ts';
import { renderDetails } from './details.ts';
import type { Acknowledgement } from './messages.ts';
import { tellRate } from './rate.ts';
import { KEYFERRY_PHASE } from './search-attributes.ts';
import type { GuardedInput, Resource, RunState, ShardInput, ShardReport, TimelineEntry } from './types.ts';

/** Characters of why a shard stalls: there are many shards. */
export const MAX_STALLED = 200;
/** Entries of the timeline that are kept: the newest. */
export const MAX_TIMELINE = 200;

/** What src/plan decides, as far as driving it depends on that. */
export interface AnyStep {
  kind: string;
  phase: string;
  reason: string;
  /** Of a `stop`. */
  remedy?: string;
}

/** What any run is started with. */
export interface RunInput {
  migration: { metadata: { name: string }; spec: { cluster: ClusterSpec; pace: PaceSpec } };
  /** Whether the server has keyferry's search attributes; the client finds out. */
  searchAttributes: boolean;
}

const CENSUS_STEPS: ReadonlySet<string> = new Set(['count', 'census', 'delta', 'read']);

/**
 * What every workflow has that rewrites a cluster's objects: how it changes by messages, how it stands still, and what it
 * tells. What it is for, and its decisions, are its own. One plain object holds all it knows, for a run hands it to the next.
 */
export abstract class Run<
  S extends RunState = RunState,
  T extends AnyStep = AnyStep,
  I extends RunInput = RunInput,
> {
  readonly input: I;
  state: S;
  /** Counts changes, so that whoever waits can wait for the next one. */
  version = 0;
  /** The shards that are being walked, by their place in the list. */
  readonly walking = new Set<number>();
  #scope: CancellationScope | undefined;

  constructor(input: I, state: S) {
    this.input = input;
    this.state = state;
  }

  get spec(): I['migration']['spec'] {
    return this.input.migration.spec;
  }

  get cluster(): I['migration']['spec']['cluster'] {
    return this.spec.cluster;
  }

  get pace(): PaceSpec {
    return this.spec.pace;
  }

  abstract step(): T;
  abstract progress(): Progress;
  /** What lets its writers write only for as long as nothing has changed. */
  abstract guard(): GuardedInput;
  /** What else its shards are told. */
  abstract shardExtras(resource: Resource): Partial<ShardInput>;
  abstract openAutomaticGates(): void;

  protected abstract hear(event: { kind: 'held'; reason: string }): void;
  /** Whether what a message asks for can be done now. */
  protected abstract admit(kind: MessageKind, message: Message): Verdict<undefined>;
  /** Does what a message asks for, where it isn't the same for all of them. */
  protected abstract obey(kind: MessageKind, message: Message, verified: boolean): void;

  /** Objects per second at most, over all shards; 0: no limit. */
  get objectsPerSecond(): number {
    return this.state.objectsPerSecond ?? this.pace.objectsPerSecond;
  }

  /** Milliseconds after the writer changed within which a value that was made before may still land. */
  get lateWriteMs(): number {
    return ms(this.cluster.requestTimeout as StringValue) + 10_000;
  }

  patch(change: Partial<S>): void {
    this.state = { ...this.state, ...change };
    this.version += 1;
  }

  note(entry: Omit<TimelineEntry, 'at'>): void {
    const { reason } = entry;
    const kept = { at: Date.now(), ...entry, ...(reason === undefined ? {} : { reason: clipped(reason) }) };
    this.#set({ timeline: [...this.state.timeline, kept].slice(-MAX_TIMELINE) });
  }

  /** Says what is being waited for; the time since when stays while the words do, or while the step goes on failing. */
  waitFor(given: string | undefined): void {
    const words = given === undefined ? undefined : clipped(given);
    if (this.state.waiting?.for === words) return;
    const since = this.state.failingSince ?? Date.now();
    this.#set({ waiting: words === undefined ? undefined : { for: words, since } });
    this.tell();
  }

  /** Says why a step has to be tried again; undefined once it hasn't. */
  failed(why: string | undefined): void {
    if (why === undefined) {
      this.state = { ...this.state, failingSince: undefined };
      return;
    }
    this.#set({ failingSince: this.state.failingSince ?? this.state.waiting?.since ?? Date.now() });
    this.waitFor(why);
  }

  /** Runs a step that messages may interrupt. Returns once every writer it started has answered. */
  async interruptible(run: () => Promise<void>): Promise<void> {
    this.#scope = new CancellationScope();
    try {
      await this.#scope.run(run);
    } finally {
      this.#scope = undefined;
    }
  }

  /** Ends the step under way. */
  protected interrupt(): void {
    this.#scope?.cancel();
  }

  /** Holds the run: by itself, or for a person. */
  hold(reason: string): void {
    this.hear({ kind: 'held', reason });
    this.#set({ stopping: this.#scope !== undefined || !this.state.seen.fenced });
    this.interrupt();
    this.tell();
  }

  /** As {@link hold}, where nothing holds it yet. */
  holdUnlessHeld(reason: string): void {
    if (this.state.seen.held === undefined) this.hold(reason);
  }

  /** Every writer has answered: a hold that was asked for holds. */
  settled(): void {
    if (this.state.stopping) {
      this.#set({ stopping: false });
      this.note({ actor: 'keyferry', verified: true, what: 'stands still: every writer has answered' });
    }
    this.tell();
  }

  /** It is over. */
  finish(now: number): void {
    this.#set({ finishedAt: now });
    this.waitFor(undefined);
    this.tell();
  }

  // --- messages ----------------------------------------------------------------------------------------------------

  /** @throws Error with the reason, which Temporal hands to the caller as the update's rejection */
  validate(kind: MessageKind, raw: unknown): void {
    const verdict = this.#judge(kind, raw);
    if (!verdict.ok) throw new Error(verdict.why);
  }

  update(kind: MessageKind, raw: unknown): Acknowledgement {
    const verdict = this.#judge(kind, raw);
    if (!verdict.ok) throw new Error(verdict.why);
    this.#take(kind, verdict.value, true);
    const { phase, waitingFor } = this.progress();
    return { phase, waitingFor };
  }

  /** Never throws: a signal that fits nothing goes on the timeline as refused. */
  signal(kind: MessageKind, raw: unknown): void {
    const verdict = this.#judge(kind, raw);
    if (verdict.ok) this.#take(kind, verdict.value, false);
    else this.note({ actor: 'unknown', verified: false, what: `${kind} refused`, reason: verdict.why });
  }

  #judge(kind: MessageKind, raw: unknown): Verdict<Message> {
    const parsed = parseMessage(kind, raw);
    if (!parsed.ok) return parsed;
    const admitted = this.admit(kind, parsed.value);
    return admitted.ok ? parsed : admitted;
  }

  #take(kind: MessageKind, message: Message, verified: boolean): void {
    // What was waited for before the message isn't any more; a rate changes nothing of that.
    if (kind !== 'rate') {
      this.failed(undefined);
      this.waitFor(undefined);
    }
    this.note({
      actor: message.actor,
      verified,
      what: whatWas(kind, message),
      ...(message.reason === '' ? {} : { reason: message.reason }),
    });
    // What was waited for until now isn't what is waited for from now on.
    if (kind !== 'pause' && kind !== 'rate') this.waitFor(undefined);
    if (kind === 'rate') {
      this.#set({ objectsPerSecond: message.objectsPerSecond ?? 0 });
      this.#tellShards();
      this.tell();
      return;
    }
    if (kind === 'pause') {
      this.hold(`paused by ${message.actor}${message.reason === '' ? '' : `: ${message.reason}`}`);
      return;
    }
    this.obey(kind, message, verified);
    // Whoever asks next is told what is done now, not what was waited for before.
    this.waitFor(undefined);
    this.tell();
  }

  /** Those that begin later are told when they do. */
  #tellShards(): void {
    const { objectsPerSecond } = this;
    const left = this.state.shards.filter(({ done }) => !done).length;
    const share = objectsPerSecond / Math.max(1, Math.min(this.pace.shards, left));
    for (const index of this.walking) {
      tellRate(index, share, () => this.walking.has(index) && this.objectsPerSecond === objectsPerSecond);
    }
  }

  /** Anybody may send it anything: what isn't a report of one of the shards is passed over. */
  shardReported(report: unknown): void {
    if (!isShardReport(report)) return;
    const {
      stalled: _stalled,
      slowed: _slowed,
      ...shard
    } = this.state.shards[report.index] ?? { stalled: undefined };
    if (!('start' in shard)) {
      // Its step is over, and waits for it.
      if (this.walking.has(report.index)) this.waitFor(report.stalled);
      return;
    }
    const reported = {
      ...shard,
      counts: report.counts,
      ...(report.stalled === undefined ? {} : { stalled: clipped(report.stalled, MAX_STALLED) }),
      ...(report.slowed === undefined ? {} : { slowed: clipped(report.slowed, MAX_STALLED) }),
    };
    this.#set({ shards: this.state.shards.map((one, i) => (i === report.index ? reported : one)) });
    this.sample();
  }

  /** As {@link shardReported}, of a census and its reads. */
  censusReported(report: unknown): void {
    const { objects, waitingFor } = (report ?? {}) as Record<string, unknown>;
    if (!CENSUS_STEPS.has(this.step().kind) || !Number.isInteger(objects)) return;
    this.waitFor(
      typeof waitingFor === 'string' ? `${clipped(waitingFor)}, after ${Number(objects)} objects` : undefined,
    );
  }

  /** Takes a sample of what the pass has done so far, for its rate. */
  sample(): void {
    const done = this.state.shards.reduce((sum, shard) => sum + shard.counts.examined, 0);
    this.#set({ rate: withSample(this.state.rate, { at: Date.now(), done }) });
    this.tell();
  }

  tell(): void {
    setCurrentDetails(renderDetails(this.progress()));
  }

  /** Says on the timeline, and where migrations are listed, that a phase has begun. */
  protected enter({ phase, reason }: AnyStep): void {
    this.note({ actor: 'keyferry', verified: true, what: `phase ${phase}`, reason });
    if (!this.input.searchAttributes) return;
    upsertSearchAttributes([{ key: KEYFERRY_PHASE, value: phase }]);
  }

  /** As {@link patch}, of what all of them have. */
  #set(change: Partial<RunState>): void {
    this.patch(change as Partial<S>);
  }
}

function whatWas(kind: MessageKind, message: Message): string {
  switch (kind) {
    case 'approve':
      return `approved ${message.gate ?? ''}`;
    case 'waive':
      return `asked to waive ${message.object ?? ''}`;
    case 'rate':
      return message.objectsPerSecond === 0
        ? 'rate: no limit of its own'
        : `rate: ${message.objectsPerSecond ?? 0} objects per second at most`;
    case 'rollback':
    case 'forward':
      return kind;
    case 'pause':
    case 'resume':
      return `${kind}d`;
  }
}

function isShardReport(given: unknown): given is ShardReport {
  const { index, counts, stalled, slowed } = (given ?? {}) as Record<string, unknown>;
  return (
    Number.isInteger(index) &&
    [stalled, slowed].every((words) => words === undefined || typeof words === 'string') &&
    Object.keys(NOTHING).every((field) =>
      Number.isFinite((counts as Record<string, unknown> | null | undefined)?.[field]),
    )
  );
}
