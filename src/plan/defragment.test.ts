import { describe, expect, it } from '@jest/globals';
import { nextToDefragment, type Fragmented } from './defragment.ts';

const member = (endpoint: string, dbSize: number, dbInUse: number, leads = false): Fragmented => ({
  endpoint,
  dbSize,
  dbInUse,
  leads,
});

describe('the member that is defragmented next', () => {
  it('is a follower, the one with the largest file, and the leader last', () => {
    const leader = member('a', 100, 10, true);
    expect(nextToDefragment([leader, member('b', 80, 10), member('c', 90, 10)], [])).toEqual({
      endpoint: 'c',
    });
    expect(nextToDefragment([leader, member('b', 10, 10), member('c', 10, 10)], [])).toEqual({
      endpoint: 'a',
    });
  });

  it('is none where none has a quarter of its file to give back', () => {
    expect(nextToDefragment([member('a', 100, 75), member('b', 100, 90, true)], [])).toBeUndefined();
    expect(nextToDefragment([member('a', 100, 74)], [])).toEqual({ endpoint: 'a' });
  });

  it('is none while one is silent, whatever the others have to give back', () => {
    expect(nextToDefragment([member('a', 100, 10), { endpoint: 'b', silent: 'why' }], [])).toEqual({
      why: 'no member is defragmented while b is silent',
    });
  });

  it('is none while etcd has an alarm that is not about room', () => {
    expect(nextToDefragment([member('a', 100, 10)], ['NOSPACE (member 1)', 'CORRUPT (member 1)'])).toEqual({
      why: 'no member is defragmented while etcd has raised the alarm CORRUPT (member 1)',
    });
    expect(nextToDefragment([member('a', 100, 10)], ['NOSPACE (member 1)'])).toEqual({ endpoint: 'a' });
  });
});
