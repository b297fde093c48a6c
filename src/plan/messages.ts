import { decide, type Gate, type Observed } from './transition.ts';

export type MessageKind = 'pause' | 'resume' | 'approve' | 'rollback';

/** What a person asked for. `actor` is whom the message names; a signal's is never verified. */
export interface Message {
  actor: string;
  reason: string;
  gate?: Gate;
}

export type Verdict<T> = { ok: true; value: T } | { ok: false; why: string };

const MAX_TEXT = 500;

/**
 * Reads what came with a message. Total: whatever was sent, it answers and never throws.
 *
 * Nothing at all is as good as an empty object, for the Temporal UI and CLI send that; anything else that isn't an
 * object of known fields is refused.
 */
export function parseMessage(kind: MessageKind, raw: unknown): Verdict<Message> {
  const given = raw ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    return {
      ok: false,
      why: `${kind} takes an object such as {"actor": "jo", "reason": "maintenance"}, not ${describe(raw)}`,
    };
  }
  const fields = given as Record<string, unknown>;
  for (const [field, value] of Object.entries(fields)) {
    if (field !== 'actor' && field !== 'reason' && !(field === 'gate' && kind === 'approve')) {
      return { ok: false, why: `${kind} has no field "${field.slice(0, 50)}"` };
    }
    if (typeof value !== 'string' || value.length > MAX_TEXT) {
      return { ok: false, why: `"${field}" must be text of ${MAX_TEXT} characters at most` };
    }
  }
  const text = (field: string, otherwise: string): string =>
    (fields[field] as string | undefined) ?? otherwise;
  const message = { actor: text('actor', 'unnamed'), reason: text('reason', '') };
  if (kind !== 'approve') return { ok: true, value: message };
  const { gate } = fields;
  if (gate !== 'cutover' && gate !== 'cleanup') {
    return { ok: false, why: 'approve needs a gate: {"gate": "cutover"} or {"gate": "cleanup"}' };
  }
  return { ok: true, value: { ...message, gate } };
}

/** Whether a migration can do now what a message asks for, or why not. */
export function admit(kind: MessageKind, message: Message, seen: Observed): Verdict<undefined> {
  const step = decide({ ...seen, held: undefined });
  const no = (why: string): Verdict<undefined> => ({ ok: false, why });
  if (step.kind === 'finish') return no(`the migration is ${step.phase}`);
  switch (kind) {
    case 'pause':
      return seen.held === undefined ? yes : no(`it stands still already: ${seen.held}`);
    case 'resume':
      return seen.held === undefined ? no('it is not paused') : yes;
    case 'approve':
      if (step.kind === 'wait' && step.gate === message.gate) return yes;
      return no(`${message.gate ?? 'nothing'} can't be approved in phase ${step.phase}: ${step.reason}`);
    case 'rollback':
      if (seen.goal === 'source') return no('it is rolling back already');
      if (seen.approved.cleanup) return no('cleanup was approved: the way back is gone');
      return yes;
  }
}

const yes: Verdict<undefined> = { ok: true, value: undefined };

function describe(raw: unknown): string {
  return Array.isArray(raw) ? 'a list' : `a ${typeof raw}`;
}
