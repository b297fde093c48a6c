import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  admit as admitAmong,
  parseMessage,
  type Message,
  type MessageKind,
  type Verdict,
} from './messages.ts';
import { initial } from './state.ts';
import type { Observed } from './transition.ts';
import { MAX_WAIVERS, type Refusing } from './waivers.ts';

const KINDS: readonly MessageKind[] = ['pause', 'resume', 'approve', 'rollback', 'waive', 'rate'];
const jo = { actor: 'jo', reason: '' };
const NOTHING: Refusing = { listed: new Set(), waived: new Set() };

function admit(kind: MessageKind, message: Message, seen: Observed, refusing = NOTHING): Verdict<undefined> {
  return admitAmong(kind, message, seen, refusing);
}

function why(verdict: { ok: boolean; why?: string }): string | undefined {
  return verdict.ok ? undefined : verdict.why;
}

describe('what comes with a message', () => {
  it('whatever it is, is read or refused, and never throws', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KINDS), fc.anything(), (kind, raw) => {
        expect(typeof parseMessage(kind, raw).ok).toBe('boolean');
      }),
    );
  });

  it.each<[string, MessageKind, unknown]>([
    ['nothing', 'pause', undefined],
    ['null, as the Temporal UI sends it', 'rollback', null],
    ['an empty object', 'resume', {}],
    ['actor and reason', 'pause', { actor: 'jo', reason: 'lunch' }],
    ['a gate to approve', 'approve', { gate: 'cutover' }],
    ['a rate', 'rate', { objectsPerSecond: 200 }],
    ['a rate without a limit', 'rate', { objectsPerSecond: 0, reason: 'the night is quiet' }],
    ['an object to waive, with a reason', 'waive', { object: 'secrets/a/b', reason: 'lost in May' }],
  ])('%s is taken', (_, kind, raw) => expect(parseMessage(kind, raw).ok).toBe(true));

  it.each<[string, MessageKind, unknown, string]>([
    ['a number', 'pause', 7, 'not a number'],
    ['a list', 'pause', [], 'not a list'],
    ['a field that is not known', 'pause', { reasons: 'x' }, 'no field "reasons"'],
    ['a reason that is no text', 'pause', { reason: 1 }, '"reason" must be text'],
    ['an approval of nothing', 'approve', undefined, 'needs a gate'],
    ['a gate that does not exist', 'approve', { gate: 'all' }, 'needs a gate'],
    ['a gate where there is none to open', 'pause', { gate: 'cutover' }, 'no field "gate"'],
    ['a waiver of nothing', 'waive', { reason: 'lost' }, 'needs an object'],
    ['a waiver without a reason', 'waive', { object: 'secrets/a/b' }, 'needs a reason'],
    ['a waiver with a blank reason', 'waive', { object: 'secrets/a/b', reason: ' ' }, 'needs a reason'],
    ['a rate of nothing', 'rate', {}, 'needs objects per second'],
    ['a rate in words', 'rate', { objectsPerSecond: '200' }, 'needs objects per second'],
    ['a rate below zero', 'rate', { objectsPerSecond: -1 }, 'needs objects per second'],
    ['a rate that is no whole number', 'rate', { objectsPerSecond: 0.5 }, 'needs objects per second'],
    ['a rate where there is none to set', 'pause', { objectsPerSecond: 2 }, 'no field "objectsPerSecond"'],
    ['an object where there is none to waive', 'resume', { object: 'secrets/a/b' }, 'no field "object"'],
  ])('%s is refused', (_, kind, raw, words) => expect(why(parseMessage(kind, raw))).toContain(words));
});

describe('what a migration can do now', () => {
  const seen = initial(['a'], 'Reload');
  const cleaning: Observed = { ...seen, approved: { cutover: true, cleanup: true } };

  it('a pause stops what runs', () => expect(admit('pause', jo, seen).ok).toBe(true));
  it('a pause of what stands still is refused', () =>
    expect(why(admit('pause', jo, { ...seen, held: 'paused by jo' }))).toContain('paused by jo'));
  it('a resume of what runs is refused', () =>
    expect(why(admit('resume', jo, seen))).toBe('it is not paused'));
  it('a gate opens only when it is reached, and the refusal says what is missing', () =>
    expect(why(admit('approve', { ...jo, gate: 'cutover' }, seen))).toBe(
      "cutover can't be approved in phase preflight: nothing is changed before all checks pass",
    ));
  it('a rollback is taken before anything happened', () => expect(admit('rollback', jo, seen).ok).toBe(true));
  it('a rollback of a rollback is refused', () =>
    expect(admit('rollback', jo, { ...seen, touched: true, goal: 'source' }).ok).toBe(false));
  it('after cleanup was approved there is no way back', () =>
    expect(why(admit('rollback', jo, cleaning))).toContain('the way back is gone'));
  it('what is over takes no message', () =>
    expect(why(admit('pause', jo, { ...seen, preflight: 'failed' }))).toBe('the migration is failed'));
});

describe('a waiver', () => {
  const object = 'secrets/a/b';
  const message: Message = { actor: 'jo', reason: 'lost in May', object };
  const both: Observed = {
    ...initial(['a'], 'Reload'),
    preflight: 'passed',
    servers: [{ name: 'a', file: 'target-writes', mayRun: ['target-writes'], doubted: false }],
  };
  const listed: Refusing = { listed: new Set([object]), waived: new Set() };

  it('of an object that refused is taken', () =>
    expect(admit('waive', message, both, listed)).toEqual({ ok: true, value: undefined }));
  it('of any other object is refused', () =>
    expect(why(admit('waive', { ...message, object: 'secrets/a/c' }, both, listed))).toContain(
      "secrets/a/c isn't among the objects that refused",
    ));
  it('is taken once', () =>
    expect(why(admit('waive', message, both, { ...listed, waived: new Set([object]) }))).toContain(
      'waived already',
    ));
  it('of one object too many is refused', () => {
    const waived = new Set(Array.from({ length: MAX_WAIVERS }, (_, i) => `secrets/a/${i}`));
    expect(why(admit('waive', message, both, { ...listed, waived }))).toContain('no more can be');
  });
  it('is refused where API servers are restarted: over such an object they never get ready', () =>
    expect(why(admit('waive', message, { ...both, takeUp: 'Restart' }, listed))).toContain(
      'never gets ready',
    ));
  it.each(['target-only', 'source-only'] as const)(
    'is refused once a server may run %s: what the other side sealed would read as lost',
    (mayRun) => {
      const server = {
        name: 'a',
        file: 'target-writes',
        mayRun: ['target-writes', mayRun],
        doubted: false,
      } as const;
      expect(why(admit('waive', message, { ...both, servers: [server] }, listed))).toContain('needs proof');
    },
  );
});
