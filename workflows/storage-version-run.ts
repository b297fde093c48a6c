import type { Message, MessageKind, Verdict } from '../src/plan/messages.ts';
import type { Progress } from '../src/plan/progress.ts';
import { admitStorage } from '../src/plan/storage-messages.ts';
import { comparable } from '../src/plan/stored-resource.ts';
import { advanceStorage, initialStorage, type StorageEvent } from '../src/plan/storage-state.ts';
import { decideStorage, type StorageStep } from '../src/plan/storage-versions.ts';
import { readEvery } from '../src/plan/tally.ts';
import { fenceOf } from './inputs.ts';
import { Run } from './run.ts';
import { storageProgressOf } from './storage-version-progress.ts';
import type { StorageVersionInput, StorageVersionState } from './storage-version-types.ts';
import type { GuardedInput, Resource, ShardInput } from './types.ts';

/** What a StorageVersionMigration knows, and how it changes. */
export class StorageVersionRun extends Run<StorageVersionState, StorageStep, StorageVersionInput> {
  constructor(input: StorageVersionInput, id: string, now: number) {
    super(input, { ...freshState(input, id, now), ...input.state });
  }

  override step(): StorageStep {
    return decideStorage(this.state.seen);
  }

  /** Takes an event in, and tells where the run stands now. */
  event(event: StorageEvent): void {
    const { phase } = this.step();
    this.patch({ seen: advanceStorage(this.state.seen, event) });
    const step = this.step();
    if (step.phase !== phase) this.enter(step);
  }

  protected override hear(event: { kind: 'held'; reason: string }): void {
    this.event(event);
  }

  /** Nothing is expected of API servers' processes: what they store by is asked when it matters. */
  override guard(): GuardedInput {
    return { ...fenceOf(this), known: this.state.known, expected: {} };
  }

  /** Which objects of a resource are tried; absent where none are. */
  trialOf(name: string): ShardInput['trial'] {
    const stored = this.state.stored.find(({ resource }) => resource.name === name);
    const apiVersions = stored === undefined ? [] : comparable(stored);
    const every = readEvery(this.spec.verify, this.state.before?.objects ?? 0);
    return apiVersions.length === 0 || every === 0 ? undefined : { apiVersions, every };
  }

  override shardExtras({ name }: Resource): Partial<ShardInput> {
    const trial = this.trialOf(name);
    if (trial === undefined) return {};
    return { trial: this.state.seen.native?.trial === 'begun' ? { ...trial, only: true } : trial };
  }

  override openAutomaticGates(): void {
    if (this.step().kind !== 'wait' || this.spec.gates.trim !== 'Auto') return;
    this.note({ actor: 'keyferry', verified: true, what: 'approved trim', reason: 'the spec says Auto' });
    this.event({ kind: 'approved' });
  }

  protected override admit(kind: MessageKind, message: Message): Verdict<undefined> {
    return admitStorage(kind, message, this.state.seen);
  }

  protected override obey(kind: MessageKind): void {
    switch (kind) {
      case 'resume':
        this.patch({ stopping: false });
        this.event({ kind: 'released' });
        return;
      case 'approve':
        this.event({ kind: 'approved' });
        this.interrupt();
        return;
      case 'rollback':
        this.patch({ shards: [], rate: [], stopping: false });
        this.event({ kind: 'stopped' });
        this.interrupt();
        return;
      // The others aren't admitted, or are the same for every run.
      case 'rate':
      case 'pause':
      case 'forward':
      case 'waive':
    }
  }

  override progress(): Progress {
    return storageProgressOf(this.input, this.state);
  }
}

function freshState(
  { migration: { spec } }: StorageVersionInput,
  id: string,
  now: number,
): StorageVersionState {
  return {
    id,
    seen: initialStorage(spec.engine === 'StorageVersionMigration'),
    checks: [],
    resources: [],
    stored: [],
    storedBefore: {},
    epoch: 0,
    shards: [],
    passes: [],
    refusals: [],
    rewrittenAt: 0,
    known: [],
    agreedAt: 0,
    trimmed: [],
    stopping: false,
    rate: [],
    timeline: [{ at: now, actor: 'keyferry', verified: true, what: 'started' }],
    startedAt: now,
  };
}
