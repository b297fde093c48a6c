import {
  CancellationScope,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { countsSince, nextSampleIn } from '../src/plan/format-sample.ts';
import {
  nextOfNative,
  remember,
  wordsOfStill,
  type NativeLook,
  type NativeNext,
} from '../src/plan/native-migration.ts';
import { about } from './activities.ts';
import { troubleOf, wordsOf } from './failures.ts';
import { shardReportSignal } from './messages.ts';
import { sampleArrived } from './native-progress.ts';
import type { NativeInput, NativeResult, NativeState } from './native-types.ts';
import type { ChunkCounts, ShardReport } from './types.ts';

/** Looks of one run: each is about fifteen events of history, with a sample and a report. */
const LOOKS_PER_RUN = 100;
const LOOK_MS = 5_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Hands the rewriting of one resource to the cluster's own storage version migrator, and follows it until it has ended.
 *
 * It has no cursor, and nothing stops it. So it returns only once it has ended, or was withdrawn before it was begun, or
 * its controller is gone: cancelled as well, and when an API server changed. What it claims proves nothing.
 *
 * @throws what can't succeed by itself, when it couldn't even be asked for
 */
export async function nativeMigration(input: NativeInput): Promise<NativeResult> {
  const follower = new Follower(input);
  CancellationScope.current().cancelRequested.catch(() => follower.stop());
  return await CancellationScope.nonCancellable(() => follower.run());
}

class Follower {
  readonly #input: NativeInput;
  readonly #does: ReturnType<typeof about>;
  #stopping: boolean;
  #changed: boolean;
  #counts: ChunkCounts;
  #watching: CancellationScope | undefined;
  #reported: ShardReport;
  #revision = 0;
  #sampleAt = 0;
  #movedAt: number;
  #sampleMs = LOOK_MS;
  #pause = FIRST_PAUSE_MS;

  constructor(input: NativeInput) {
    this.#input = input;
    this.#does = about(`${input.resource.name}: ${input.name}`);
    this.#stopping = input.from?.stopping ?? false;
    this.#changed = input.from?.changed ?? false;
    this.#counts = input.counts;
    this.#movedAt = input.from?.movedAt ?? Date.now();
    this.#reported = { index: input.index, counts: input.counts };
  }

  stop(): void {
    this.#stopping = true;
    this.#watching?.cancel();
  }

  async run(): Promise<NativeResult> {
    let state = this.#input.from ?? (await this.#ask());
    for (let looks = 0; ; looks += 1) {
      if (looks >= LOOKS_PER_RUN || workflowInfo().continueAsNewSuggested) {
        return await continueAsNew<typeof nativeMigration>({
          ...this.#input,
          counts: this.#counts,
          from: { ...state, stopping: this.#stopping, changed: this.#changed, movedAt: this.#movedAt },
        });
      }
      const look = await this.#look(state);
      if (look === undefined) continue;
      this.#pause = FIRST_PAUSE_MS;
      const memory = remember(state.memory, look);
      state = { ...state, memory, asked: { ...state.asked, object: look.object ?? state.asked.object } };
      const next = nextOfNative(this.#input.name, look, memory, this.#stopping || this.#changed);
      switch (next.kind) {
        case 'withdraw':
          if (await this.#withdraw(state)) state = { ...state, memory: { ...memory, withdrawn: next } };
          break;
        case 'end':
          // How far etcd had come by its last write is known from a count that was begun after it.
          while (!(await this.#sample(state))) await sleep(LOOK_MS);
          return this.#result(next, state);
        case 'follow':
          if (!next.idle && Date.now() >= this.#sampleAt) await this.#sample(state);
          if (next.idle) this.#movedAt = Date.now();
          await this.#report(next.idle || this.#stopping || this.#changed ? next.words : this.#still());
      }
    }
  }

  async #ask(): Promise<NativeState> {
    const { cluster, fence, resource, name } = this.#input;
    for (;;) {
      try {
        const arrivedBefore = await this.#arrivedBefore();
        const asked = await this.#does.askForNative({ cluster, fence, resource, name });
        const memory = { askedAt: Date.now(), takenUp: false };
        return { asked, memory, stopping: false, changed: false, arrivedBefore };
      } catch (error) {
        // Asked to stop as well: an attempt that wasn't answered may have asked for it.
        if (!troubleOf(error).retryable) throw error;
        await this.#trouble(error);
      }
    }
  }

  async #arrivedBefore(): Promise<number> {
    const { counts } = this.#input;
    // It was begun before, and interrupted.
    if (counts.examined > 0) return counts.current;
    return (await sampleArrived(this.#input))?.arrived ?? counts.current;
  }

  /** Undefined where it has to be asked again. */
  async #look({ asked: { api, object }, memory }: NativeState): Promise<NativeLook | undefined> {
    const { cluster, fence, resource, name, guarded } = this.#input;
    const ended = this.#stopping || this.#changed;
    const scope = new CancellationScope();
    this.#watching = scope;
    try {
      return await scope.run(() =>
        this.#does.watchNative({
          cluster,
          api,
          resource,
          name,
          ...(memory.goneAt === undefined ? { revision: object.revision } : {}),
          forMs: LOOK_MS,
          ...(guarded === undefined || ended ? {} : { guarded: { ...guarded, fence } }),
        }),
      );
    } catch (error) {
      if (isCancellation(error)) return undefined;
      await this.#trouble(error);
      return undefined;
    } finally {
      this.#watching = undefined;
    }
  }

  async #withdraw({ asked: { api, object } }: NativeState): Promise<boolean> {
    const { cluster } = this.#input;
    try {
      return await this.#does.withdrawNative({ cluster, api, object });
    } catch (error) {
      await this.#trouble(error);
      return false;
    }
  }

  /** Whatever stands in the way: while it may be written, it is followed. */
  async #trouble(error: unknown): Promise<void> {
    const trouble = troubleOf(error);
    if (trouble.code === 'ServersChanged') {
      this.#changed = true;
      return;
    }
    await this.#report(wordsOf(trouble));
    await sleep(this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  #still(): string | undefined {
    const { name, progress } = this.#input;
    return progress === undefined ? undefined : wordsOfStill(name, this.#movedAt, Date.now());
  }

  /** Answers whether it could be taken. */
  async #sample({ arrivedBefore }: NativeState): Promise<boolean> {
    const before = this.#counts.examined;
    try {
      const sample = await sampleArrived(this.#input);
      if (sample === undefined) return true;
      this.#counts = countsSince(arrivedBefore, sample.arrived);
      if (this.#counts.examined !== before) this.#movedAt = Date.now();
      this.#revision = sample.revision;
      this.#sampleMs = nextSampleIn(this.#sampleMs, this.#counts.examined !== before, sample.tookMs);
      this.#sampleAt = Date.now() + this.#sampleMs;
      return true;
    } catch (error) {
      await this.#report(wordsOf(troubleOf(error)));
      return false;
    }
  }

  /** A report that can't be delivered isn't worth failing for: the result says it all again. */
  async #report(stalled: string | undefined): Promise<void> {
    const { parent } = workflowInfo();
    const { index, reportEvery } = this.#input;
    const done = this.#counts.examined - this.#reported.counts.examined;
    if (parent === undefined || (stalled === this.#reported.stalled && done < reportEvery)) return;
    this.#reported = { index, counts: this.#counts, ...(stalled === undefined ? {} : { stalled }) };
    await getExternalWorkflowHandle(parent.workflowId)
      .signal(shardReportSignal, this.#reported)
      .catch(() => undefined);
  }

  #result(next: Extract<NativeNext, { kind: 'end' }>, { asked: { api, object } }: NativeState): NativeResult {
    return {
      outcome: next.outcome,
      object,
      apiVersion: api.apiVersion,
      ...(next.why === undefined ? {} : { why: next.why }),
      writerLeft: next.writerLeft,
      counts: this.#counts,
      revision: this.#revision,
      stopped: this.#stopping,
      changed: this.#changed,
    };
  }
}
