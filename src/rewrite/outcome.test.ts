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
    expect(outcome(status, { reason: 'Some' })).toEqual({
      kind: 'refused',
      status,
      reason: expect.stringMatching(/^Some/),
      remedy: expect.stringMatching(/resume$/),
    }),
  );
});

describe('a 500', () => {
  const failed = (message: string): Outcome => outcome(500, { reason: 'InternalError', message });

  it.each([
    'etcdserver: request timed out',
    'etcdserver: leader changed',
    'Internal error occurred: failed to encrypt DEK, error: rpc error: code = Unavailable desc = connection refused',
    'Internal error occurred: failed to decrypt DEK, error: rpc error: code = DeadlineExceeded desc = slow',
    // As kube-apiserver 1.36 answered over an etcd that was killed, and after a start without its plugin.
    'rpc error: code = Unavailable desc = error reading from server: EOF',
    'Internal error occurred: got unexpected nil transformer',
    'context deadline exceeded',
  ])('of the kms plugin or etcd passes, and is tried again: %s', (message) =>
    expect(failed(message).kind).toBe('again'),
  );

  it.each([
    // As kube-apiserver 1.36 answered to a GET and to a PATCH of such values.
    ['no matching prefix found', 'no provider of the configuration opens it'],
    ['Internal error occurred: invalid padding on input', 'no provider of the configuration opens it'],
    ['the stored data is not a multiple of the block size', 'no provider of the configuration opens it'],
    ['cipher: message authentication failed', 'no provider of the configuration opens it'],
    ['illegal base64 data at input byte 5', 'its value is no object'],
    ["couldn't get version/kind; json parse error: unexpected end of JSON input", 'its value is no object'],
    ['no kind "Foo" is registered for version "v9" in scheme "pkg/runtime/scheme.go:111"', 'is no object'],
    ['proto: illegal wireType 7', 'its value is no object'],
  ])('over a value that is lost says so, and names the ways out: %s', (message, reason) =>
    expect(failed(message)).toEqual({
      kind: 'refused',
      status: 500,
      reason: expect.stringContaining(reason),
      remedy: expect.stringMatching(/backup.*etcdctl del.*keyferry waive/),
    }),
  );

  it('over a value that is too large says so', () =>
    expect(failed('etcdserver: request is too large')).toEqual({
      kind: 'refused',
      status: 500,
      reason: 'InternalError; too large for etcd once it is sealed',
      remedy: expect.stringContaining('max-request-bytes'),
    }));

  it("of a webhook is told as the webhook's, whatever it met", () =>
    expect(
      failed('failed calling webhook "a.example.com": context deadline exceeded: no matching prefix found'),
    ).toMatchObject({ kind: 'refused', reason: 'InternalError; webhook a.example.com did not answer' }));
});

describe('the reason of a refusal', () => {
  const reasonOf = (body: object, status = 422): string => {
    const result = outcome(status, body);
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
  it.each<[string, string, string]>([
    [
      'is down',
      'failed: Post "https://127.0.0.1:9443/crdconvert": context deadline exceeded',
      'did not answer',
    ],
    ['answers with an error', "failed: can't convert hunter2", 'answered with an error'],
    [
      'answers with something else',
      'returned invalid converted object at index 0: hunter2',
      'answered with what is no conversion of it',
    ],
  ])('tells of a conversion webhook that %s, and not what it says', (_, said, told) =>
    expect(
      reasonOf({ message: `conversion webhook for stable.example.com/v1, Kind=SelfieRequest ${said}` }, 500),
    ).toBe(`the conversion webhook for stable.example.com/v1 ${told}`),
  );
  it('names the webhook that denied', () =>
    expect(
      reasonOf({
        reason: 'Forbidden',
        message: 'admission webhook "a.example.com" denied the request: hunter2',
      }),
    ).toBe('Forbidden; denied by webhook a.example.com'));
  it('names the webhook that did not answer', () =>
    expect(
      reasonOf({ reason: 'InternalError', message: 'failed calling webhook "a.example.com": timeout' }, 500),
    ).toBe('InternalError; webhook a.example.com did not answer'));
  it('tells an object that no key opens', () =>
    expect(
      reasonOf(
        { reason: 'InternalError', message: 'Internal error occurred: no matching prefix found' },
        500,
      ),
    ).toBe('InternalError; no provider of the configuration opens it'));
});
