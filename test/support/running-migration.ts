import { setTimeout as sleep } from 'node:timers/promises';
import { type WorkflowHandle } from '@temporalio/client';
import { type Progress } from '../../src/plan/progress.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { type TimelineEntry } from '../../workflows/types.ts';
import { type CliAnswer } from './cli.ts';
import { type ControlPlane } from './control-plane.ts';

const QUERY_MS = 3_000;

/** A query is work for Temporal and for the worker, which share the machine with what is tested. */
const BETWEEN_QUERIES_MS = 100;
/** As above, for what comes late and then stays as it is. */
const BETWEEN_QUERIES_AT_A_GATE_MS = 500;

/** A migration that a test drives by the CLI and watches by queries. */
export class RunningMigration {
  readonly workflowId: string;
  readonly runId: string;
  readonly #plane: ControlPlane;

  constructor(plane: ControlPlane, workflowId: string, runId: string) {
    this.#plane = plane;
    this.workflowId = workflowId;
    this.runId = runId;
  }

  /** Follows the migration over continue-as-new. */
  get handle(): WorkflowHandle {
    return this.#plane.temporal.workflow.getHandle(this.workflowId, undefined, {
      firstExecutionRunId: this.runId,
    });
  }

  async progress(): Promise<Progress> {
    return await this.#query<Progress>('progress');
  }

  async timeline(): Promise<TimelineEntry[]> {
    return await this.#query<TimelineEntry[]>('timeline');
  }

  /** Waits until what the migration tells fits; without a worker it goes on asking. */
  async until(
    what: string,
    fits: (progress: Progress) => boolean,
    timeoutMs = 180_000,
    betweenMs = BETWEEN_QUERIES_MS,
  ): Promise<Progress> {
    const deadline = Date.now() + timeoutMs;
    let last: Progress | undefined;
    while (Date.now() < deadline) {
      const seen = await this.progress().catch(() => undefined);
      last = seen ?? last;
      if (seen !== undefined && fits(seen)) return seen;
      if (seen?.state === 'finished') break;
      await sleep(betweenMs);
    }
    throw new Error(`waited for ${what} in vain.\n${await this.#story(last)}`);
  }

  /** Waits for a phase or for one of its states; ends early where the migration has. */
  async untilPhase(
    phase: Progress['phase'],
    state?: Progress['state'],
    timeoutMs?: number,
  ): Promise<Progress> {
    const what = `phase ${phase}${state === undefined ? '' : ` (${state})`}`;
    return await this.until(
      what,
      (seen) => seen.phase === phase && (state ?? seen.state) === seen.state,
      timeoutMs,
      state === 'waiting' ? BETWEEN_QUERIES_AT_A_GATE_MS : BETWEEN_QUERIES_MS,
    );
  }

  /** `pause`, `resume`, `rollback`, `approve cutover` … by the CLI; any exit code is an answer. */
  async tell(command: string, reason = 'a test'): Promise<CliAnswer> {
    return await this.#plane.cli([
      ...command.split(' '),
      this.workflowId,
      '--reason',
      reason,
      '--actor',
      'tester',
      '--json',
    ]);
  }

  /** As {@link tell}, for what must be taken. */
  async order(command: string): Promise<{ phase: string; waitingFor: string }> {
    const answer = await this.tell(command);
    if (answer.code === 0) return JSON.parse(answer.stdout) as { phase: string; waitingFor: string };
    throw new Error(
      `${command} ended with ${answer.code}: ${answer.stderr}\n${await this.#story(undefined)}`,
    );
  }

  /** Approves cutover and cleanup when they are due, and answers with the report. */
  async finish(phaseWithinMs?: number): Promise<MigrationReport> {
    await this.untilPhase('soak', 'waiting', phaseWithinMs);
    await this.order('approve cutover');
    await this.untilPhase('cutover', 'waiting', phaseWithinMs);
    await this.order('approve cleanup');
    return await this.report();
  }

  /** The outcome, once it has ended. */
  async report(timeoutMs = 180_000): Promise<MigrationReport> {
    try {
      return (await this.#plane.temporal.withDeadline(Date.now() + timeoutMs, () =>
        this.handle.result(),
      )) as MigrationReport;
    } catch (error) {
      throw new Error(`no outcome: ${String(error)}\n${await this.#story(undefined)}`, { cause: error });
    }
  }

  async #query<T>(name: string): Promise<T> {
    return await this.#plane.temporal.withDeadline(Date.now() + QUERY_MS, () => this.handle.query<T>(name));
  }

  /** What went on, for a test that failed. */
  async #story(last: Progress | undefined): Promise<string> {
    const progress = (await this.progress().catch(() => undefined)) ?? last;
    const timeline = await this.timeline().catch(() => []);
    return [
      ...(progress === undefined
        ? ['nothing is known of it']
        : [JSON.stringify({ ...progress, checks: undefined })]),
      ...(progress?.checks ?? [])
        .filter((check) => check.outcome !== 'pass')
        .map((check) => JSON.stringify(check)),
      ...timeline.map(
        (entry) => `${new Date(entry.at).toISOString()} ${entry.actor}: ${entry.what} ${entry.reason ?? ''}`,
      ),
    ].join('\n');
  }
}
