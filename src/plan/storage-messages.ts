import { admitBy, no, yes, type Message, type MessageKind, type Verdict } from './messages.ts';
import { decideStorage, unheldStorage, type StorageObserved } from './storage-versions.ts';

/** Whether a StorageVersionMigration can do now what a message asks for, or why not. */
export function admitStorage(kind: MessageKind, message: Message, seen: StorageObserved): Verdict<undefined> {
  return admitBy(kind, message, decideStorage(unheldStorage(seen)), seen.held, (one) => {
    switch (one) {
      case 'rollback':
        if (seen.trimmed) return no('the old versions are removed already');
        if (seen.stopping) return no('it is ending already');
        return yes;
      case 'forward':
        return no('a storage version has no way back to turn round: start another migration');
      case 'waive':
        return no('no object can be waived: what lies in an old version needs that version');
    }
  });
}

/** What can be done next, given where it stands. */
export function storageNextSteps(seen: StorageObserved): string[] {
  const step = decideStorage(unheldStorage(seen));
  if (step.kind === 'finish' || step.kind === 'release') return ['keyferry report'];
  const end = ['keyferry rollback --reason "…"'];
  if (seen.held !== undefined) return ['keyferry resume', ...end];
  if (step.kind === 'wait') return [`keyferry approve ${step.gate} --reason "…"`, ...end];
  return ['keyferry pause --reason "…"', ...end];
}
