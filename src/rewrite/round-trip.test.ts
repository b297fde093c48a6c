import { describe, expect, it } from '@jest/globals';
import { isTried, lostFields } from './round-trip.ts';

const metadata = { name: 'a', namespace: 'default', uid: '1' };

describe('what a conversion there and back loses', () => {
  it.each<[string, object, object, string[]]>([
    [
      'nothing, where all is the same',
      { spec: { host: 'a', ports: [1, 2] } },
      { spec: { host: 'a', ports: [1, 2] } },
      [],
    ],
    ['a field that is gone', { spec: { host: 'a', port: 1 } }, { spec: { host: 'a' } }, ['spec.port']],
    ['a field that says something else', { hostPort: 'a:1' }, { hostPort: 'a:' }, ['hostPort']],
    ['a field whose type changed', { port: 1 }, { port: '1' }, ['port']],
    ['all that was under a field', { spec: { host: 'a' } }, {}, ['spec']],
    [
      'an element of a list',
      { hosts: [{ name: 'a' }, { name: 'b' }] },
      { hosts: [{ name: 'a' }] },
      ['hosts'],
    ],
    [
      'a field within a list',
      { hosts: [{ name: 'a', port: 1 }] },
      { hosts: [{ name: 'a' }] },
      ['hosts[].port'],
    ],
    ['a null that is gone', { host: null }, {}, ['host']],
    ['a label', { metadata: { ...metadata, labels: { a: 'b' } } }, { metadata }, ['metadata.labels']],
    ['not a default that appears', { spec: {} }, { spec: { host: '' } }, []],
    [
      'not what each write may change',
      { metadata: { ...metadata, resourceVersion: '1', generation: 1, managedFields: [{}] } },
      { metadata: { ...metadata, resourceVersion: '2', generation: 2 } },
      [],
    ],
  ])('%s', (_, before, after, lost) => expect(lostFields(before, after)).toEqual(lost));

  it('is never quoted', () => {
    expect(JSON.stringify(lostFields({ spec: { password: 'swordfish' } }, { spec: { password: '' } }))).toBe(
      '["spec.password"]',
    );
  });
});

describe('the objects that are tried', () => {
  const keys = Array.from({ length: 5_000 }, (_, i) => `/registry/a/b/object-${i}`);

  it('are all of them where every one is asked for', () => {
    expect(keys.filter((key) => isTried({ apiVersions: [], every: 1 }, key))).toHaveLength(5_000);
  });

  it('are about one of so many, and the same ones each time', () => {
    const tried = (): string[] => keys.filter((key) => isTried({ apiVersions: [], every: 50 }, key));
    expect(tried().length).toBeGreaterThan(60);
    expect(tried().length).toBeLessThan(150);
    expect(tried()).toEqual(tried());
  });
});
