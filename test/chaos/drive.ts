import { setTimeout as sleep } from 'node:timers/promises';
import { Journal } from '../../lab/journal.ts';
import { type Progress } from '../../src/plan/progress.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { type ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, TARGET_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { AWAY_MS, instances, strike, type Blow } from './faults.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { isAmidRewriting, isIn, isPast, isWaitingIn, phasesBetween, type Phase } from './phases.ts';
import { Witness, type Said } from './witness.ts';

export type Goal = 'completed' | 'rolled-back';
export type Blows = Partial<Record<Phase, Blow>>;

/** A fault that was given, and what came of it. */
export interface Cell extends Blow {
  readonly phase: Phase;
  /** The instance that was hit, by its name in the lab. */
  readonly hit: string;
  /** Milliseconds since the epoch. */
  readonly began: number;
  readonly mended: number;
  /** What the migration said while the fault lasted, and from then on until it left the phase. */
  readonly meanwhile: readonly Said[];
  readonly afterwards: readonly Said[];
  /** The phases that the fault really met, where the one it was meant for isn't among them. */
  readonly fellInto?: readonly string[];
  /** What a person had to do for the migration to go on. */
  readonly neededHelp?: string;
  /** It left the phase; of the last cell of a migration that hangs, false. */
  readonly left: boolean;
}

/** One migration, and what it left behind. */
export interface Drive {
  readonly goal: Goal;
  readonly cells: readonly Cell[];
  /** Help that no one fault can be blamed for. */
  readonly help: readonly string[];
  /** What does not hold at the end; empty when all is well. */
  readonly wrong: readonly string[];
  readonly objects: number;
  /** Acknowledged writes of the journal. */
  readonly writes: number;
  readonly seconds: number;
}

/** Slow enough that faults fall amid the rewriting. */
const PACE = { objectsPerSecond: 15, concurrency: 8, shards: 2 };
/** Longer than the longest pause between two attempts, a few times. */
const PATIENCE_MS = 300_000;
const MOST_HELP = 8;

/** How the help begins that a migration needs which preflight refused. */
export const REFUSED = 'preflight refused';

export type Say = (line: string) => void;

/**
 * Drives one migration to its end: through its phases, or half-way through rewriting and back. A client writes all
 * the while, and a blow is given in each phase that has one.
 *
 * Never throws for what a migration does: that stands in the answer.
 *
 * @param meanwhile - runs beside the migration from its start on, and is waited for before the end
 */
export async function drive(
  plane: ControlPlane,
  goal: Goal,
  blows: Blows,
  say: Say,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<Drive> {
  const began = Date.now();
  const before = plane.configurations();
  const sourceFormat = Object.keys(formats(await migratedValues(plane.lab)))[0] ?? '';
  const journal = await Journal.start(plane.lab, { rate: 10, writers: 2 });
  const driver = new Driver(plane, blows, say);
  const wrong: string[] = [];
  try {
    const report = await driver.run(goal, meanwhile);
    if (report.outcome !== goal) wrong.push(`it ended ${report.outcome}`);
  } catch (error) {
    wrong.push(String(error));
  }
  await journal.stop();
  wrong.push(...(await whatIsWrong(plane, journal, goal === 'completed' ? TARGET_FORMAT : sourceFormat)));
  if (goal === 'rolled-back' && JSON.stringify(plane.configurations()) !== JSON.stringify(before)) {
    wrong.push('the configuration files are not what they were');
  }
  return {
    goal,
    cells: driver.cells,
    help: driver.help,
    wrong,
    objects: (await migratedValues(plane.lab)).length,
    writes: journal.progress().writes,
    seconds: Math.round((Date.now() - began) / 1000),
  };
}

class Driver {
  readonly cells: Cell[] = [];
  readonly help: string[] = [];
  readonly #plane: ControlPlane;
  readonly #blows: Blows;
  readonly #say: Say;
  readonly #workers: number;

  constructor(plane: ControlPlane, blows: Blows, say: Say) {
    this.#plane = plane;
    this.#blows = blows;
    this.#say = say;
    this.#workers = [1, 2].filter((n) => plane.lab.pid(`worker-${n}`) !== undefined).length;
  }

  async run(goal: Goal, meanwhile: () => Promise<void>): Promise<MigrationReport> {
    const first = await this.#start();
    const besides = meanwhile();
    try {
      const migration = await this.#throughPreflight(first);
      await (goal === 'completed' ? this.#forward(migration) : this.#back(migration));
      await this.#until(migration, 'the end', ({ state }) => state === 'finished');
      await besides;
      return await migration.report();
    } finally {
      await besides;
    }
  }

  async #forward(migration: RunningMigration): Promise<void> {
    await this.#strikeIn('stage', migration, isIn('stage'));
    await this.#strikeIn('promote', migration, isIn('promote'));
    await this.#strikeIn('rewrite', migration, isAmidRewriting('rewrite', 0.15));
    await this.#strikeIn('verify', migration, isIn('verify'));
    await this.#strikeIn('soak', migration, isIn('soak'));
    await this.#until(migration, 'the gate of cutover', isWaitingIn('soak'));
    await this.#tell(migration, 'approve', 'cutover');
    await this.#strikeIn('cutover', migration, isIn('cutover'));
    await this.#until(migration, 'the gate of cleanup', isWaitingIn('cutover'));
    const approve = (): Promise<void> => this.#tell(migration, 'approve', 'cleanup');
    const blow = this.#blows.cleanup;
    if (blow === undefined) {
      await approve();
      return;
    }
    // It is over in a moment: so the fault comes first, but for a Temporal that is away and takes no approval.
    if (blow.process === 'temporal') await approve();
    await this.#strike('cleanup', blow, migration, blow.process === 'temporal' ? undefined : approve);
  }

  async #back(migration: RunningMigration): Promise<void> {
    await this.#until(migration, 'a part to be rewritten', isAmidRewriting('rewrite', 0.4));
    await this.#tell(migration, 'rollback');
    await this.#strikeIn('rolling-back', migration, isAmidRewriting('rolling-back', 0.15));
  }

  async #start(): Promise<RunningMigration> {
    const spec = { pace: PACE, gates: { soak: '5s' } };
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#plane.start({ spec });
      } catch (error) {
        // Another fault of a schedule may be in the way of the CLI.
        if (attempt === MOST_HELP) throw error;
        await sleep(3_000);
      }
    }
  }

  /** A fault in preflight may make it refuse, with nothing changed: then it is started again, as a person would. */
  async #throughPreflight(first: RunningMigration): Promise<RunningMigration> {
    let migration = first;
    await this.#strikeIn('preflight', migration, () => true);
    for (;;) {
      const seen = await this.#until(migration, 'preflight to pass', (now) => isPast(now, 'preflight'));
      if (seen.phase !== 'failed') return migration;
      const failed = seen.checks.filter(({ outcome }) => outcome === 'fail').map(({ name }) => name);
      this.#helped(`${REFUSED} (${failed.join(', ')}), with nothing changed; it was started again`);
      migration = await this.#start();
    }
  }

  async #strikeIn(
    phase: Phase,
    migration: RunningMigration,
    when: (seen: Progress) => boolean,
  ): Promise<void> {
    const blow = this.#blows[phase];
    if (blow === undefined) return;
    await this.#until(migration, `phase ${phase}`, (seen) => when(seen) || isPast(seen, phase));
    await this.#strike(phase, blow, migration);
  }

  async #strike(
    phase: Phase,
    blow: Blow,
    migration: RunningMigration,
    meanwhile?: () => Promise<void>,
  ): Promise<void> {
    const seen = await migration.progress().catch(() => undefined);
    const hit = this.#choose(blow, seen);
    this.#say(`${phase}: ${blow.fault} ${hit}`);
    const began = Date.now();
    const witness = new Witness(migration);
    try {
      const struck = strike(this.#plane.lab, hit, blow.fault, AWAY_MS[blow.fault]);
      if (meanwhile !== undefined) await sleep(300).then(meanwhile);
      await struck;
      const cell = { ...blow, phase, hit, began, mended: Date.now(), meanwhile: witness.take() };
      this.cells.push({ ...cell, afterwards: [], left: false });
      const gate = phase === 'soak' || phase === 'cutover' ? isWaitingIn(phase) : () => false;
      await this.#until(migration, `${phase} to be left`, (now) => gate(now) || isPast(now, phase));
      const met = phasesBetween(await this.#timeline(migration), began, cell.mended);
      this.#amend({ left: true, ...(met.includes(phase) ? {} : { fellInto: met }) });
    } finally {
      this.#amend({ afterwards: witness.take() });
      await witness.stop();
    }
  }

  /** That of the node which the migration is busy with, where it says so; else they take turns. */
  #choose({ process }: Blow, seen: Progress | undefined): string {
    const all = instances(process, { nodes: this.#plane.lab.nodes, workers: this.#workers });
    const busy = all.find((name) => seen?.waitingFor.includes(name.split('.')[0] ?? ''));
    return busy ?? all[this.cells.length % all.length] ?? process;
  }

  /** By a signal, which is kept even while no worker is there to answer. */
  async #tell(migration: RunningMigration, message: string, gate?: string): Promise<void> {
    const words = { actor: 'tester', reason: 'a test', ...(gate === undefined ? {} : { gate }) };
    for (let attempt = 1; ; attempt++) {
      try {
        await migration.handle.signal(message, words);
        return;
      } catch (error) {
        // Temporal itself may be away.
        if (attempt === 60) throw error;
        await sleep(1_000);
      }
    }
  }

  async #timeline(migration: RunningMigration): ReturnType<RunningMigration['timeline']> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await migration.timeline();
      } catch (error) {
        if (attempt === 60) throw error;
        await sleep(1_000);
      }
    }
  }

  /** Waits; a migration that stopped by itself is resumed, and that is kept. */
  async #until(
    migration: RunningMigration,
    what: string,
    fits: (seen: Progress) => boolean,
  ): Promise<Progress> {
    for (;;) {
      const seen = await migration.until(
        what,
        (now) => now.state === 'paused' || now.state === 'finished' || fits(now),
        PATIENCE_MS,
      );
      if (seen.state !== 'paused') return seen;
      const refused = seen.refusals[0];
      const which = refused === undefined ? '' : ` [${refused.status} ${refused.reason}]`;
      this.#helped(`it stopped (${seen.waitingFor}${which}), and was resumed`);
      await this.#tell(migration, 'resume');
      await migration.until('it to go on', ({ state }) => state !== 'paused', PATIENCE_MS);
    }
  }

  #helped(what: string): void {
    this.#say(what);
    this.help.push(what);
    if (this.help.length > MOST_HELP) throw new Error('it needed help again and again');
    this.#amend({ neededHelp: what });
  }

  #amend(more: Partial<Cell>): void {
    const last = this.cells.pop();
    if (last !== undefined) this.cells.push({ ...last, ...more });
  }
}
