import type { Message, MessageKind, Verdict } from './messages.ts';
import { decideStorage, unheldStorage, type StorageObserved } from './storage-versions.ts';

/** Whether a StorageVersionMigration can do now what a message asks for, or why not. */
export function admitStorage(kind: MessageKind, message: Message, seen: StorageObserved): Verdict<undefined> {
  const step = decideStorage(unheldStorage(seen));
  const no = (why: string): Verdict<undefined> => ({ ok: false, why });
  if (step.kind === 'finish') return no(`the migration is ${step.phase}`);
  switch (kind) {
    case 'pause':
      return seen.held === undefined ? yes : no(`it stands still already: ${seen.held}`);
    case 'resume':
      return seen.held === undefined ? no('it is not paused') : yes;
    case 'approve':
      if (step.kind === 'wait' && message.gate === step.gate) return yes;
      return no(`${message.gate ?? 'nothing'} can't be approved in phase ${step.phase}: ${step.reason}`);
    case 'rollback':
      if (seen.trimmed) return no('the old versions are removed already');
      if (seen.stopping) return no('it is ending already');
      return yes;
    case 'forward':
      return no('a storage version has no way back to turn round: start another migration');
    case 'waive':
      return no('no object can be waived: what lies in an old version needs that version');
    case 'rate':
      return yes;
  }
}

const yes: Verdict<undefined> = { ok: true, value: undefined };

/** What can be done next, given where it stands. */
export function storageNextSteps(seen: StorageObserved): string[] {
  const step = decideStorage(unheldStorage(seen));
  if (step.kind === 'finish' || step.kind === 'release') return ['keyferry report'];
  const end = ['keyferry rollback --reason "…"'];
  if (seen.held !== undefined) return ['keyferry resume', ...end];
  if (step.kind === 'wait') return [`keyferry approve ${step.gate} --reason "…"`, ...end];
  return ['keyferry pause --reason "…"', ...end];
}
