import { describe, expect, it } from '@jest/globals';
import type { QuickCount } from '../census/survey.ts';
import type { Check } from './preflight.ts';
import { bytesInEtcd, judgeRoom } from './preflight-room.ts';

const MB = 1e6;

/** A hundred thousand objects of 1,000 bytes with their keys, which get 400 more: 2,022 bytes each in etcd's pages. */
const COUNTED: QuickCount = {
  rows: [],
  objects: 100_000,
  bytes: 100 * MB,
  outside: 100_000,
  growth: 400,
  resources: [],
};

/** @param members - what each has in use and what it may have, in MB */
function room(
  members: { used: number; quota?: number }[],
  { pace = 0, ...change }: Partial<QuickCount> & { pace?: number } = {},
): Check {
  const endpoints = members.map((_, i) => `https://${i}`);
  return judgeRoom(
    { answer: { ...COUNTED, ...change } },
    members.map(({ used }, i) => ({
      endpoint: endpoints[i] ?? '',
      version: '3.6.16',
      dbSize: 10 * used * MB,
      dbInUse: used * MB,
      leads: false,
    })),
    members.map(({ quota }, i) => ({
      endpoint: endpoints[i] ?? '',
      ...(quota === undefined ? {} : { quotaBytes: quota * MB }),
    })),
    pace,
  );
}

describe('what a revision takes of the database of etcd', () => {
  // As etcd 3.6 was seen to grow by 4,000 values of sizes around an average (key and value, bytes in use for each).
  it.each([
    [252, 348],
    [454, 609],
    [762, 1_027],
    [1_049, 1_485],
    [1_561, 2_319],
    [2_065, 3_193],
    [3_061, 4_162],
    [5_050, 6_152],
    [9_921, 11_047],
  ])('%i bytes take %i, within 3 %%', (bytes, seen) => {
    expect(Math.abs(bytesInEtcd(bytes) / seen - 1)).toBeLessThan(0.03);
  });
});

describe('room in etcd', () => {
  it('is told with its arithmetic', () => {
    expect(room([{ used: 200, quota: 8_000 }])).toEqual({
      name: 'room in etcd',
      outcome: 'pass',
      detail:
        "100,000 objects to rewrite (1,000 bytes each with their keys, 1,400 under the target, 2,022 in etcd's pages) need about 202 MB until they are compacted; https://0 has 200 MB in use of 8,000 MB",
    });
  });
  it('short of a fifth => warn', () =>
    expect(room([{ used: 200, quota: 500 }])).toMatchObject({ outcome: 'warn', remedy: expect.anything() }));
  it('too little => fail', () =>
    expect(room([{ used: 200, quota: 400 }])).toMatchObject({
      outcome: 'fail',
      remedy: expect.stringContaining('--quota-backend-bytes'),
    }));
  it('enough for the bytes as they lie, and too little for what the target makes of them => fail', () => {
    expect(room([{ used: 200, quota: 390 }]).outcome).toBe('fail');
    expect(room([{ used: 200, quota: 390 }], { growth: 0 }).outcome).not.toBe('fail');
  });
  it('too little on one of two members => fail', () =>
    expect(
      room([
        { used: 200, quota: 8_000 },
        { used: 200, quota: 400 },
      ]).outcome,
    ).toBe('fail'));
  it('too little for all objects, and enough for those that are not under the target yet => pass', () =>
    expect(room([{ used: 200, quota: 400 }], { outside: 1_000 }).outcome).toBe('pass'));
  it('enough for what a slow pace leaves between compactions => pass, and says so', () => {
    const slow = room([{ used: 200, quota: 400 }], { pace: 10 });
    expect(slow.outcome).toBe('pass');
    expect(slow.detail).toContain('of which 6,000 are rewritten until they are compacted at that pace');
    expect(slow.detail).toContain('need about 12 MB');
  });
  it('of the usual 2 GiB, where a member does not tell => pass, or warn', () => {
    expect(room([{ used: 200 }]).outcome).toBe('pass');
    expect(room([{ used: 2_100 }]).outcome).toBe('warn');
  });
  it('of members that are all silent => warn', () =>
    expect(judgeRoom({ answer: COUNTED }, [{ endpoint: 'a', silent: 'no answer' }], [], 0).outcome).toBe(
      'warn',
    ));
  it('is not known where etcd could not be counted => fail', () =>
    expect(judgeRoom({ trouble: { message: 'no answer', remedy: 'start it' } }, [], [], 0).outcome).toBe(
      'fail',
    ));
});
