import { describe, expect, it } from '@jest/globals';
import { outcomeOf, type Outcome } from './outcome.ts';

function outcome(status: number, body: object = {}, retryAfterSeconds?: number): Outcome {
  return outcomeOf({
    status,
    body,
    text: JSON.stringify(body),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}

describe('an answer to a no-op PATCH', () => {
  it('200 tells the resourceVersion', () =>
    expect(outcome(200, { metadata: { resourceVersion: '7' } })).toEqual({
      kind: 'done',
      resourceVersion: '7',
    }));
  it('404: the object is gone, so there is nothing to do', () => expect(outcome(404).kind).toBe('gone'));
  it('409 is looked at again', () => expect(outcome(409).kind).toBe('again'));
  it('429 waits as long as it says', () =>
    expect(outcome(429, {}, 7)).toEqual({ kind: 'again', afterMs: 7_000, why: '429 Too Many Requests' }));
  it.each([401, 502, 503, 504])('%i is tried again', (status) => expect(outcome(status).kind).toBe('again'));
  it.each([400, 403, 413, 422, 500])("%i is the object's own, and stops nothing else", (status) =>
    expect(outcome(status, { reason: 'Some' })).toEqual({ kind: 'refused', status, reason: 'Some' }),
  );
});

describe('the reason of a refusal', () => {
  const reasonOf = (body: object): string => {
    const result = outcome(422, body);
    return result.kind === 'refused' ? result.reason : '';
  };

  it('never quotes a message, which may hold the content', () => {
    const text = reasonOf({
      reason: 'Invalid',
      message: 'Secret "x" is invalid: data[password]: Invalid value: "hunter2"',
      details: { causes: [{ field: 'data[password]', reason: 'FieldValueInvalid', message: 'hunter2' }] },
    });
    expect(text).toBe('Invalid; fields data[…]');
  });
  it('names the webhook that denied', () =>
    expect(
      reasonOf({
        reason: 'Forbidden',
        message: 'admission webhook "a.example.com" denied the request: hunter2',
      }),
    ).toBe('Forbidden; denied by webhook a.example.com'));
  it('names the webhook that did not answer', () =>
    expect(
      reasonOf({ reason: 'InternalError', message: 'failed calling webhook "a.example.com": timeout' }),
    ).toBe('InternalError; webhook a.example.com did not answer'));
  it('tells an object that no key opens', () =>
    expect(
      reasonOf({ reason: 'InternalError', message: 'Internal error occurred: no matching prefix found' }),
    ).toBe('InternalError; no provider of the configuration opens it'));
});
