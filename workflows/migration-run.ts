import { CancellationScope, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import ms, { type StringValue } from 'ms';
import type { ProviderRef } from '../src/encryption-config/types.ts';
import { admit, parseMessage, type Message, type MessageKind, type Verdict } from '../src/plan/messages.ts';
import { refusing, waiverOf } from '../src/plan/waivers.ts';
import { NOTHING } from '../src/plan/counts.ts';
import { withSample, type Progress } from '../src/plan/progress.ts';
import { advance, initial, type PlanEvent } from '../src/plan/state.ts';
import { decide, type Step } from '../src/plan/transition.ts';
import { isRotation } from '../src/plan/rotation.ts';
import { sourceOf, targetOf } from '../src/plan/sides.ts';
import { clipped } from '../src/plan/words.ts';
import type { Acknowledgement } from './messages.ts';
import { renderDetails } from './details.ts';
import { progressOf } from './progress-of.ts';
import { tellRate } from './rate.ts';
import { KEYFERRY_PHASE } from './search-attributes.ts';
import type { MigrationInput, MigrationState, ShardReport, TimelineEntry } from './types.ts';

/** Characters of why a shard stalls: there are many shards. */
export const MAX_STALLED = 200;
/** Entries of the timeline that are kept: the newest. */
export const MAX_TIMELINE = 200;
const CENSUS_STEPS: ReadonlySet<Step['kind']> = new Set(['count', 'census', 'delta', 'read']);

/**
 * What a migration knows, how it changes by events and messages, and what it tells. Decisions are src/plan's; effects
 * are the steps'. One plain object holds it all, for a run hands it to the next.
 */
export class MigrationRun {
  readonly input: MigrationInput;
  state: MigrationState;
  /** Counts changes, so that whoever waits can wait for the next one. */
  version = 0;
  /** The shards that are being walked, by their place in the list. */
  readonly walking = new Set<number>();
  #scope: CancellationScope | undefined;

  constructor(input: MigrationInput, id: string, now: number) {
    this.input = input;
    const { spec } = input.migration;
    const fresh: MigrationState = {
      id,
      seen: initial(
        spec.cluster.apiServers.map((server) => server.name),
        // A rotation leaves the files as they are: there is nothing to restart for.
        isRotation(spec) ? 'Reload' : spec.cluster.encryptionConfiguration.takeUp,
      ),
      checks: [],
      resources: [],
      canaryResources: [],
      names: [],
      hashes: {},
      loaded: {},
      epoch: 0,
      censusRevision: 0,
      soakUntil: 0,
      restarted: {},
      toRead: [],
      shards: [],
      passes: [],
      refusals: [],
      waivers: [],
      rewrittenAt: 0,
      stopping: false,
      rate: [],
      timeline: [{ at: now, actor: 'keyferry', verified: true, what: 'started' }],
      startedAt: now,
    };
    // A run of an older version may hand over a state without what is new.
    this.state = { ...fresh, ...input.state };
  }

  get spec() {
    return this.input.migration.spec;
  }

  /** Objects per second at most, over all shards; 0: no limit. */
  get objectsPerSecond(): number {
    return this.state.objectsPerSecond ?? this.spec.pace.objectsPerSecond;
  }

  get source(): ProviderRef {
    return sourceOf(this.spec, this.state.rotation);
  }

  get target(): ProviderRef {
    return targetOf(this.spec, this.state.rotation);
  }

  step(): Step {
    return decide(this.state.seen);
  }

  /** Takes an event in, and tells where the migration stands now. */
  event(event: PlanEvent): void {
    const before = this.step().phase;
    const { retreats } = this.state.seen;
    this.patch({ seen: advance(this.state.seen, event) });
    const { goal, retreating } = this.state.seen;
    if (retreating !== undefined && this.state.seen.retreats > retreats) {
      const side = goal === 'target' ? 'source' : 'target';
      this.note({ actor: 'keyferry', verified: true, what: `the ${side} goes back in`, reason: retreating });
    }
    const { phase } = this.step();
    if (phase !== before) this.#enter(phase);
  }

  patch(change: Partial<MigrationState>): void {
    this.state = { ...this.state, ...change };
    this.version += 1;
  }

  note(entry: Omit<TimelineEntry, 'at'>): void {
    const { reason } = entry;
    const kept = { at: Date.now(), ...entry, ...(reason === undefined ? {} : { reason: clipped(reason) }) };
    this.patch({ timeline: [...this.state.timeline, kept].slice(-MAX_TIMELINE) });
  }

  /** Says what is being waited for; the time since when stays while the words do, or while the step goes on failing. */
  waitFor(given: string | undefined): void {
    const { waiting } = this.state;
    const words = given === undefined ? undefined : clipped(given);
    if (waiting?.for === words) return;
    const { waiting: _, ...rest } = this.state;
    const since = this.state.failingSince ?? Date.now();
    this.state = words === undefined ? rest : { ...rest, waiting: { for: words, since } };
    this.version += 1;
    this.tell();
  }

  /** Says why a step has to be tried again; undefined once it hasn't. */
  failed(why: string | undefined): void {
    const { failingSince, ...rest } = this.state;
    if (why === undefined) {
      this.state = rest;
      return;
    }
    this.patch({ failingSince: failingSince ?? this.state.waiting?.since ?? Date.now() });
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

  /** Holds the migration: by itself, or for a person. */
  hold(reason: string): void {
    this.event({ kind: 'held', reason });
    this.patch({ stopping: this.#scope !== undefined || !this.state.seen.fenced });
    this.#scope?.cancel();
    this.tell();
  }

  /** Every writer has answered: a hold that was asked for holds. */
  settled(): void {
    if (this.state.stopping) {
      this.patch({ stopping: false });
      this.note({ actor: 'keyferry', verified: true, what: 'stands still: every writer has answered' });
    }
    this.tell();
  }

  /** Opens the gates that the spec opens by itself. */
  openAutomaticGates(): void {
    const step = this.step();
    if (step.kind !== 'wait' || this.spec.gates[step.gate] !== 'Auto') return;
    this.note({
      actor: 'keyferry',
      verified: true,
      what: `approved ${step.gate}`,
      reason: 'the spec says Auto',
    });
    this.event({ kind: 'approved', gate: step.gate });
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
    this.#obey(kind, verdict.value, true);
    const { phase, waitingFor } = this.progress();
    return { phase, waitingFor };
  }

  /** Never throws: a signal that fits nothing goes on the timeline as refused. */
  signal(kind: MessageKind, raw: unknown): void {
    const verdict = this.#judge(kind, raw);
    if (verdict.ok) this.#obey(kind, verdict.value, false);
    else this.note({ actor: 'unknown', verified: false, what: `${kind} refused`, reason: verdict.why });
  }

  #judge(kind: MessageKind, raw: unknown): Verdict<Message> {
    const parsed = parseMessage(kind, raw);
    if (!parsed.ok) return parsed;
    const admitted = admit(kind, parsed.value, this.state.seen, refusing(this.state));
    return admitted.ok ? parsed : admitted;
  }

  #obey(kind: MessageKind, message: Message, verified: boolean): void {
    // What was waited for before the message isn't any more; a rate changes nothing of that.
    if (kind !== 'rate') {
      this.failed(undefined);
      this.waitFor(undefined);
    }
    const what = whatWas(kind, message);
    this.note({
      actor: message.actor,
      verified,
      what,
      ...(message.reason === '' ? {} : { reason: message.reason }),
    });
    // What was waited for until now isn't what is waited for from now on.
    if (kind !== 'pause' && kind !== 'rate') this.waitFor(undefined);
    switch (kind) {
      case 'rate':
        this.patch({ objectsPerSecond: message.objectsPerSecond ?? 0 });
        this.#tellShards();
        this.tell();
        return;
      case 'pause':
        this.hold(`paused by ${message.actor}${message.reason === '' ? '' : `: ${message.reason}`}`);
        return;
      case 'resume':
        this.patch({ restarted: {}, stopping: false });
        this.event({ kind: 'released' });
        break;
      case 'approve':
        if (message.gate !== undefined) this.event({ kind: 'approved', gate: message.gate });
        this.#scope?.cancel();
        break;
      case 'rollback':
      case 'forward':
        this.patch({ shards: [], rate: [], refusals: [], restarted: {}, soakUntil: 0, stopping: false });
        this.event({ kind: 'turned', goal: kind === 'rollback' ? 'source' : 'target' });
        this.#scope?.cancel();
        break;
      case 'waive': {
        const waiver = waiverOf(this.state, message, verified, Date.now());
        this.patch({ waivers: [...this.state.waivers, waiver] });
        break;
      }
    }
    // Whoever asks next is told what is done now, not what was waited for before.
    this.waitFor(undefined);
    this.tell();
  }

  /** Those that begin later are told when they do. */
  #tellShards(): void {
    const { objectsPerSecond } = this;
    const left = this.state.shards.filter(({ done }) => !done).length;
    const share = objectsPerSecond / Math.max(1, Math.min(this.spec.pace.shards, left));
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
    if (!('start' in shard)) return;
    const reported = {
      ...shard,
      counts: report.counts,
      ...(report.stalled === undefined ? {} : { stalled: clipped(report.stalled, MAX_STALLED) }),
      ...(report.slowed === undefined ? {} : { slowed: clipped(report.slowed, MAX_STALLED) }),
    };
    const shards = this.state.shards.map((one, i) => (i === report.index ? reported : one));
    this.patch({ shards });
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
    this.patch({
      rate: withSample(this.state.rate, {
        at: Date.now(),
        done: sumOf(this.state.shards.map((shard) => shard.counts.examined)),
      }),
    });
    this.tell();
  }

  // --- what it tells -----------------------------------------------------------------------------------------------

  progress(): Progress {
    return progressOf(this.input, this.state);
  }

  tell(): void {
    setCurrentDetails(renderDetails(this.progress()));
  }

  #enter(phase: string): void {
    this.note({ actor: 'keyferry', verified: true, what: `phase ${phase}`, reason: this.step().reason });
    if (!this.input.searchAttributes) return;
    upsertSearchAttributes([{ key: KEYFERRY_PHASE, value: phase }]);
  }

  /** Milliseconds after the writer changed within which a value that was sealed before may still land. */
  get lateWriteMs(): number {
    return ms(this.spec.cluster.requestTimeout as StringValue) + 10_000;
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

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
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
