import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { outline } from '../src/plan/outline.ts';
import type { MessageKind } from '../src/plan/messages.ts';
import type { Step } from '../src/plan/transition.ts';
import { withRemedy } from '../src/plan/words.ts';
import { troubleOf, wordsOf } from './failures.ts';
import { isHistoryLong, untilHistoryIsLong } from './history.ts';
import * as messages from './messages.ts';
import { MigrationRun } from './migration-run.ts';
import { reportOf, type MigrationReport } from './report.ts';
import { carryOut } from './steps.ts';
import type { MigrationInput } from './types.ts';

const LONGEST_PAUSE_MS = 60_000;

/**
 * Moves one cluster from a provider to another. It does what src/plan decides, one step at a time, and waits for
 * people where a gate says so. It ends completed, rolled back, or failed with nothing changed.
 */
export async function migration(input: MigrationInput): Promise<MigrationReport> {
  const { workflowId, runId } = workflowInfo();
  const run = new MigrationRun(input, `${input.migration.metadata.name}-${runId.slice(0, 8)}`, Date.now());
  listen(run);
  // A cancellation must not leave a cluster half-way with nobody looking after it: it is taken for a pause.
  CancellationScope.current().cancelRequested.catch(() => {
    run.note({
      actor: 'temporal',
      verified: true,
      what: 'cancel requested',
      reason: 'taken for a pause; use rollback, or terminate',
    });
    if (run.state.seen.held === undefined) run.hold('cancelled in Temporal, which only pauses it');
  });
  return await CancellationScope.nonCancellable(() => drive(run, workflowId));
}

async function drive(run: MigrationRun, workflowId: string): Promise<MigrationReport> {
  let failures = 0;
  for (;;) {
    run.openAutomaticGates();
    const step = run.step();
    if (step.kind === 'finish') {
      run.patch({ finishedAt: Date.now() });
      run.waitFor(undefined);
      run.tell();
      await condition(allHandlersFinished);
      return reportOf(run, workflowId, step.outcome);
    }
    if (isHistoryLong(run.spec.pace.shards)) {
      await condition(allHandlersFinished);
      return await continueAsNew<typeof migration>({ ...run.input, state: run.state });
    }
    if (step.kind === 'hold' || step.kind === 'stop') {
      await standStill(run, step);
      continue;
    }
    const why = await attempt(run, step);
    failures = why === undefined ? 0 : failures + 1;
    run.failed(why);
    if (why === undefined) continue;
    await pauseUnlessTold(run, Math.min(LONGEST_PAUSE_MS, 2_000 * 2 ** Math.min(failures, 5)));
  }
}

/** Carries out a step. Answers with why it has to be tried again, if it has to. */
async function attempt(run: MigrationRun, step: Step): Promise<string | undefined> {
  try {
    const { shards } = run.spec.pace;
    await run.interruptible(() => untilHistoryIsLong(shards, () => carryOut(step, run)));
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
async function standStill(run: MigrationRun, step: Step): Promise<void> {
  if (step.kind === 'stop') {
    run.note({ actor: 'keyferry', verified: true, what: 'stopped', reason: step.reason });
    run.hold(`${step.reason}: ${step.remedy}`);
    // Before it stands still whoever may still write is shut out: that is a step of its own.
    return;
  }
  run.waitFor(step.reason);
  run.settled();
  const { version } = run;
  await condition(() => run.version !== version);
}

async function pauseUnlessTold(run: MigrationRun, ms: number): Promise<void> {
  const { version } = run;
  await condition(() => run.version !== version, ms);
}

function listen(run: MigrationRun): void {
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
  setHandler(messages.planQuery, () => outline(run.state.seen));
  setHandler(messages.timelineQuery, () => run.state.timeline);
}
