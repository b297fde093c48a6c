import { decide, unheld, type Gate, type Observed } from './transition.ts';
import { everyServerReadsBoth, MAX_WAIVERS, type Refusing } from './waivers.ts';

export type MessageKind = 'pause' | 'resume' | 'approve' | 'rollback' | 'forward' | 'waive' | 'rate';

/** What a person asked for. `actor` is whom the message names; a signal's is never verified. */
export interface Message {
  actor: string;
  reason: string;
  gate?: Gate | 'trim';
  /** What is waived: `secrets/ns/name`. */
  object?: string;
  /** Of a rate; 0: no limit. */
  objectsPerSecond?: number;
}

export type Verdict<T> = { ok: true; value: T } | { ok: false; why: string };

const MAX_TEXT = 500;
/** Far above what any control plane takes. */
const MAX_RATE = 1_000_000;

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
    if (!['actor', 'reason', ownField[kind]].includes(field)) {
      return { ok: false, why: `${kind} has no field "${field.slice(0, 50)}"` };
    }
    if (field === 'objectsPerSecond') continue;
    if (typeof value !== 'string' || value.length > MAX_TEXT) {
      return { ok: false, why: `"${field}" must be text of ${MAX_TEXT} characters at most` };
    }
  }
  const text = (field: string, otherwise: string): string =>
    (fields[field] as string | undefined) ?? otherwise;
  const message = { actor: text('actor', 'unnamed'), reason: text('reason', '') };
  if (kind === 'waive') {
    const object = text('object', '');
    if (object === '') return { ok: false, why: 'waive needs an object: {"object": "secrets/ns/name"}' };
    if (message.reason.trim() === '')
      return { ok: false, why: 'waive needs a reason: it goes into the evidence' };
    return { ok: true, value: { ...message, object } };
  }
  if (kind === 'rate') {
    const { objectsPerSecond } = fields;
    if (!isRate(objectsPerSecond)) {
      return {
        ok: false,
        why: `rate needs objects per second, a whole number from 0 (no limit) to ${MAX_RATE}: {"objectsPerSecond": 200}`,
      };
    }
    return { ok: true, value: { ...message, objectsPerSecond } };
  }
  if (kind !== 'approve') return { ok: true, value: message };
  const { gate } = fields;
  if (gate !== 'cutover' && gate !== 'cleanup' && gate !== 'trim') {
    return {
      ok: false,
      why: 'approve needs a gate: {"gate": "cutover"} or {"gate": "cleanup"}; of a StorageVersionMigration {"gate": "trim"}',
    };
  }
  return { ok: true, value: { ...message, gate } };
}

/** What a message of a kind may hold beside its actor and reason. */
const ownField: Readonly<Partial<Record<MessageKind, string>>> = {
  approve: 'gate',
  waive: 'object',
  rate: 'objectsPerSecond',
};

function isRate(given: unknown): given is number {
  return typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= MAX_RATE;
}

/** A step, as far as it depends on that what can be asked for. */
interface Asked {
  kind: string;
  phase: string;
  reason: string;
  /** Of a `wait`. */
  gate?: Message['gate'];
}

/**
 * Whether a run can do now what a message asks for, or why not.
 *
 * @param step - what it would do, if nothing held it
 * @param own - judges what isn't alike for all of them
 */
export function admitBy(
  kind: MessageKind,
  { gate }: Message,
  step: Asked,
  held: string | undefined,
  own: (kind: 'rollback' | 'forward' | 'waive') => Verdict<undefined>,
): Verdict<undefined> {
  if (step.kind === 'finish') return no(`the migration is ${step.phase}`);
  switch (kind) {
    case 'pause':
      return held === undefined ? yes : no(`it stands still already: ${held}`);
    case 'resume':
      return held === undefined ? no('it is not paused') : yes;
    case 'approve':
      if (step.kind === 'wait' && step.gate === gate) return yes;
      return no(`${gate ?? 'nothing'} can't be approved in phase ${step.phase}: ${step.reason}`);
    case 'rate':
      return yes;
    case 'rollback':
    case 'forward':
    case 'waive':
      return own(kind);
  }
}

/** Whether a migration can do now what a message asks for, or why not. */
export function admit(
  kind: MessageKind,
  message: Message,
  seen: Observed,
  refusing: Refusing,
): Verdict<undefined> {
  const step = decide(unheld(seen));
  return admitBy(kind, message, step, seen.held, (one) => {
    switch (one) {
      case 'rollback':
        if (seen.goal === 'source') return no('it is rolling back already');
        if (seen.approved.cleanup) return no('cleanup was approved: the way back is gone');
        return yes;
      case 'forward':
        if (seen.goal === 'target') return no('it is going forward already');
        if (step.kind === 'cleanup') return no('it is rolled back, but for cleaning up');
        return yes;
      case 'waive':
        return admitWaiver(message.object ?? '', seen, refusing);
    }
  });
}

/** Whether the object is one that nobody can read is asked of the API servers, before the waiver counts. */
function admitWaiver(object: string, seen: Observed, { listed, waived }: Refusing): Verdict<undefined> {
  if (waived.has(object)) return no(`${object} is waived already`);
  if (!listed.has(object)) {
    return no(`${object} isn't among the objects that refused or can't be read: see "keyferry status"`);
  }
  if (waived.size >= MAX_WAIVERS) return no(`${MAX_WAIVERS} objects are waived already, and no more can be`);
  // Seen with a single Secret: informer-sync fails, and /readyz with it, for as long as the value lies there.
  if (seen.takeUp === 'Restart') {
    return no(
      'an API server that restarts over an object that it cannot read never gets ready, and this migration restarts them: restore the object, or delete its key from etcd',
    );
  }
  if (!everyServerReadsBoth(seen)) {
    return no(
      'a waiver needs proof that nobody can read the object, and now some API server has only one of the providers: roll back, or delete the object',
    );
  }
  return yes;
}

export const yes: Verdict<undefined> = { ok: true, value: undefined };

export function no(why: string): Verdict<undefined> {
  return { ok: false, why };
}

function describe(raw: unknown): string {
  return Array.isArray(raw) ? 'a list' : `a ${typeof raw}`;
}
