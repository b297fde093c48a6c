import type { ProviderRef } from '../src/encryption-config/types.ts';
import { admit, type Message, type MessageKind, type Verdict } from '../src/plan/messages.ts';
import { refusing, waiverOf } from '../src/plan/waivers.ts';
import type { Progress } from '../src/plan/progress.ts';
import { advance, initial, type PlanEvent } from '../src/plan/state.ts';
import { decide, type Step } from '../src/plan/transition.ts';
import { isRotation } from '../src/plan/rotation.ts';
import { sourceOf, targetOf } from '../src/plan/sides.ts';
import { progressOf } from './progress-of.ts';
import { Run } from './run.ts';
import { etcdAgentsOf, guardOf, waivedBy } from './inputs.ts';
import type { GuardedInput, MigrationInput, MigrationState, ShardInput } from './types.ts';

/**
 * What a migration knows, how it changes by events and messages, and what it tells. Decisions are src/plan's; effects
 * are the steps'.
 */
export class MigrationRun extends Run<MigrationState, Step, MigrationInput> {
  constructor(input: MigrationInput, id: string, now: number) {
    // A run of an older version may hand over a state without what is new.
    super(input, { ...freshState(input, id, now), ...input.state });
  }

  get source(): ProviderRef {
    return sourceOf(this.spec, this.state.rotation);
  }

  get target(): ProviderRef {
    return targetOf(this.spec, this.state.rotation);
  }

  override step(): Step {
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
    if (phase !== before) this.enter(this.step());
  }

  protected override hear(event: { kind: 'held'; reason: string }): void {
    this.event(event);
  }

  override guard(): GuardedInput {
    return guardOf(this);
  }

  override shardExtras(): Partial<ShardInput> {
    return { ...waivedBy(this), ...etcdAgentsOf(this) };
  }

  /** Opens the gates that the spec opens by itself. */
  override openAutomaticGates(): void {
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

  protected override admit(kind: MessageKind, message: Message): Verdict<undefined> {
    return admit(kind, message, this.state.seen, refusing(this.state));
  }

  protected override obey(kind: MessageKind, message: Message, verified: boolean): void {
    switch (kind) {
      case 'rate':
      case 'pause':
        return;
      case 'resume':
        this.patch({ restarted: {}, stopping: false });
        this.event({ kind: 'released' });
        return;
      case 'approve':
        if (message.gate !== undefined && message.gate !== 'trim')
          this.event({ kind: 'approved', gate: message.gate });
        this.interrupt();
        return;
      case 'rollback':
      case 'forward':
        this.patch({ shards: [], rate: [], refusals: [], restarted: {}, soakUntil: 0, stopping: false });
        this.event({ kind: 'turned', goal: kind === 'rollback' ? 'source' : 'target' });
        this.interrupt();
        return;
      case 'waive': {
        const waiver = waiverOf(this.state, message, verified, Date.now());
        this.patch({ waivers: [...this.state.waivers, waiver] });
      }
    }
  }

  override progress(): Progress {
    return progressOf(this.input, this.state);
  }
}

function freshState({ migration: { spec } }: MigrationInput, id: string, now: number): MigrationState {
  return {
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
}
