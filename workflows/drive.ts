import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  setHandler,
} from '@temporalio/workflow';
import type { MessageKind } from '../src/plan/messages.ts';
import { withRemedy } from '../src/plan/words.ts';
import { troubleOf, wordsOf } from './failures.ts';
import { isHistoryLong, untilHistoryIsLong } from './history.ts';
import * as messages from './messages.ts';
import type { AnyStep, Run } from './run.ts';
import type { RunState } from './types.ts';

const LONGEST_PAUSE_MS = 60_000;

interface Deeds<T extends AnyStep, R> {
  /** Carries out a step, and tells the run what came of it. */
  carryOut: (step: T) => Promise<void>;
  /** What is told at the end. */
  report: (last: T) => R;
  /** Goes on in another run. */
  goOn: () => Promise<never>;
}

/**
 * Does what src/plan decides, one step at a time, and waits for people where it says so, until it says that this is the end.
 * A cancellation in Temporal is taken for a pause.
 */
export async function drive<S extends RunState, T extends AnyStep, R>(
  run: Run<S, T>,
  deeds: Deeds<T, R>,
): Promise<R> {
  listen(run);
  // A cancellation must not leave a cluster half-way with nobody looking after it: it is taken for a pause.
  CancellationScope.current().cancelRequested.catch(() => {
    run.note({
      actor: 'temporal',
      verified: true,
      what: 'cancel requested',
      reason: 'taken for a pause; use rollback, or terminate',
    });
    run.holdUnlessHeld('cancelled in Temporal, which only pauses it');
  });
  return await CancellationScope.nonCancellable(() => untilTheEnd(run, deeds));
}

async function untilTheEnd<S extends RunState, T extends AnyStep, R>(
  run: Run<S, T>,
  { carryOut, report, goOn }: Deeds<T, R>,
): Promise<R> {
  let failures = 0;
  for (;;) {
    run.openAutomaticGates();
    const step = run.step();
    if (step.kind === 'finish') {
      run.finish(Date.now());
      await condition(allHandlersFinished);
      return report(step);
    }
    if (isHistoryLong(run.pace.shards)) {
      await condition(allHandlersFinished);
      return await goOn();
    }
    if (step.kind === 'hold' || step.kind === 'stop') {
      await standStill(run, step);
      continue;
    }
    const why = await attempt(run, step, carryOut);
    failures = why === undefined ? 0 : failures + 1;
    run.failed(why);
    if (why === undefined) {
      // What the last step waited for isn't what the next one does.
      if (run.step().kind !== step.kind) run.waitFor(undefined);
      continue;
    }
    await pauseUnlessTold(run, Math.min(LONGEST_PAUSE_MS, 2_000 * 2 ** Math.min(failures, 5)));
  }
}

/** Carries out a step. Answers with why it has to be tried again, if it has to. */
async function attempt<S extends RunState, T extends AnyStep>(
  run: Run<S, T>,
  step: T,
  carryOut: (step: T) => Promise<void>,
): Promise<string | undefined> {
  try {
    await run.interruptible(() => untilHistoryIsLong(run.pace.shards, () => carryOut(step)));
    return undefined;
  } catch (error) {
    if (isCancellation(error)) return undefined;
    const trouble = troubleOf(error);
    // Without a fence nothing can be said to stand still: there is no holding on to that.
    if (trouble.retryable || step.kind === 'fence') return wordsOf(trouble);
    run.note({ actor: 'keyferry', verified: true, what: 'stopped', reason: trouble.message });
    run.hold(withRemedy(trouble.message, `${trouble.remedy ?? 'mend it'}, then resume; or roll back`));
    return undefined;
  } finally {
    run.tell();
  }
}

/** Waits for whatever changes the state: a message. */
async function standStill(run: Run, step: AnyStep): Promise<void> {
  if (step.kind === 'stop') {
    run.note({ actor: 'keyferry', verified: true, what: 'stopped', reason: step.reason });
    run.hold(`${step.reason}: ${step.remedy ?? 'see what was refused'}`);
    // Before it stands still whoever may still write is shut out: that is a step of its own.
    return;
  }
  run.waitFor(step.reason);
  run.settled();
  const { version } = run;
  await condition(() => run.version !== version);
}

async function pauseUnlessTold(run: Run, ms: number): Promise<void> {
  const { version } = run;
  await condition(() => run.version !== version, ms);
}

function listen(run: Run): void {
  const kinds: readonly [MessageKind, typeof messages.pauseUpdate, typeof messages.pauseSignal][] = [
    ['pause', messages.pauseUpdate, messages.pauseSignal],
    ['resume', messages.resumeUpdate, messages.resumeSignal],
    ['approve', messages.approveUpdate, messages.approveSignal],
    ['rollback', messages.rollbackUpdate, messages.rollbackSignal],
    ['forward', messages.forwardUpdate, messages.forwardSignal],
    ['waive', messages.waiveUpdate, messages.waiveSignal],
    ['rate', messages.rateUpdate, messages.rateSignal],
  ];
  for (const [kind, update, signal] of kinds) {
    setHandler(update, (raw) => run.update(kind, raw), { validator: (raw) => run.validate(kind, raw) });
    setHandler(signal, (raw) => run.signal(kind, raw));
  }
  setHandler(messages.shardReportSignal, (report) => run.shardReported(report));
  setHandler(messages.censusReportSignal, (report) => run.censusReported(report));
  setHandler(messages.progressQuery, () => run.progress());
  setHandler(messages.timelineQuery, () => run.state.timeline);
}
