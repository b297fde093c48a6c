import { describe, expect, it } from '@jest/globals';
import { readingsOf, type MemberLoad, type ServerLoad, type Sight } from './gauges.ts';
import { IDLE } from './server-load.test-helper.ts';
import { FREE, govern, STEP_MS, type Verdict } from './governor.ts';

const calm: ServerLoad = {
  ...IDLE,
  memoryBytes: 400e6,
  rejected: 7,
  terminatedWatchers: { secrets: 3 },
  objects: { secrets: 1e6, configmaps: 1e4 },
};
const member: MemberLoad = { endpoint: 'https://etcd-1', dbSize: 3e9, dbInUse: 2e9, quotaBytes: 8e9 };
const none: Sight = { servers: [], members: [], alarms: [], at: Date.parse('2026-01-15T12:00:00Z') };

const verdict = (sight: Partial<Sight>): Verdict => govern(readingsOf({ ...none, ...sight }), FREE, STEP_MS);

const server = (now: Partial<ServerLoad>, before: Partial<ServerLoad> = {}): Verdict =>
  verdict({
    servers: [{ now: { ...calm, ...now }, before: { ...calm, ...before }, first: { ...calm, ...before } }],
  });

const etcd = (now: Partial<MemberLoad>, before: Partial<MemberLoad> = {}): Verdict =>
  verdict({ members: [{ now: { ...member, ...now }, before: { ...member, ...before } }] });

/** So many observations below 10 ms, and so many below 2 s. */
const histogram = (quick: number, slow: number) => [
  { upTo: 0.01, count: quick },
  { upTo: 2, count: quick + slow },
  { upTo: Infinity, count: quick + slow },
];

describe('gauges', () => {
  it('of a calm cluster slow nothing down', () => {
    expect(
      verdict({
        servers: [{ now: calm, before: calm, first: calm }],
        members: [{ now: member, before: member }],
        requests: { count: 500, refused: 0, p99Ms: 40, baselineMs: 30 },
      }).level,
    ).toBe('free');
  });

  it('without a look before compare nothing', () => {
    expect(verdict({ servers: [{ now: calm }], members: [{ now: member }] }).level).toBe('free');
  });

  describe('of an API server', () => {
    it('slow down for watchers that it has just closed, and pause while they catch up', () => {
      expect(server({ terminatedWatchers: { secrets: 5 } })).toMatchObject({
        level: 'slow',
        reason: 'cp-1 has just closed 2 watchers of secrets that fell behind (limit 1)',
      });
      expect(verdict({ catchingUp: [{ server: 'cp-1', objectsPerSecond: 25_123.4 }] })).toMatchObject({
        level: 'pause',
        gauge: 'watchers',
        reason:
          'cp-1 has closed watchers again and again: waiting until they have caught up (25,123 objects a second go to them)',
      });
    });

    it('slow down for as many closed watchers of a resource as would take it up for 25 s', () => {
      const closed = (terminatedWatchers: Record<string, number>) => server({ terminatedWatchers }).reason;
      expect(closed({ secrets: 3, configmaps: 49 })).toBeUndefined();
      expect(closed({ secrets: 3, configmaps: 50 })).toBe(
        'cp-1 has just closed 50 watchers of configmaps that fell behind (limit 50)',
      );
      expect(closed({ secrets: 3, leases: 1 })).toBe(
        'cp-1 has just closed 1 watchers of leases that fell behind (limit 1)',
      );
    });

    it('slow down for requests that wait in its queues, or that it refuses', () => {
      expect(server({ queued: 40 }).reason).toBe(
        '40 requests wait in the queues of cp-1 (priority and fairness; limit 10)',
      );
      expect(server({ rejected: 9 }).reason).toBe(
        'cp-1 has just refused 2 requests (priority and fairness; limit 1)',
      );
    });

    it('slow down for memory that grew, but not for what is little to a machine', () => {
      expect(server({ memoryBytes: 0.9e9 }).level).toBe('free');
      expect(server({ memoryBytes: 6e9 }, { memoryBytes: 2e9 })).toMatchObject({
        level: 'slow',
        reason: 'the memory in use by cp-1 has grown from 2.0 GB to 6.0 GB (limit 2 times)',
      });
      expect(server({ memoryBytes: 9e9 }, { memoryBytes: 2e9 }).level).toBe('pause');
    });

    it('slow down for its clients, whose requests take longer than it is used to', () => {
      const before = { requests: histogram(1_000, 0) };
      expect(server({ requests: histogram(1_500, 0) }, before).level).toBe('free');
      expect(server({ requests: histogram(1_490, 10) }, before)).toMatchObject({
        gauge: 'latency',
        reason: '99 % of requests for one object are answered by cp-1 within 2,000 ms (limit 500 ms)',
      });
      // Of so few it would be chance.
      expect(server({ requests: histogram(1_250, 40) }, before).level).toBe('free');
      const slowAlways = { requests: histogram(900, 100) };
      expect(server({ requests: histogram(1_350, 150) }, slowAlways).level).toBe('free');
    });

    it('slow down for a kms plugin that is slow, by what was called since the look before', () => {
      const before = { keyCalls: histogram(10, 90) };
      expect(server({ keyCalls: histogram(60, 90) }, before).level).toBe('free');
      expect(server({ keyCalls: histogram(10, 95) }, before).reason).toBe(
        'kms plugins take up to 2,000 ms to answer cp-1 (limit 1,000 ms)',
      );
    });

    it('compare nothing with what another process counted', () => {
      expect(server({ startedAt: 2_000, rejected: 900, memoryBytes: 9e9 }).level).toBe('free');
    });
  });

  describe('of etcd', () => {
    it('slow down from 80 % of its quota in use, and pause from 90 %', () => {
      expect(etcd({ dbSize: 6.7e9, dbInUse: 6.64e9 })).toMatchObject({
        level: 'slow',
        gauge: 'etcd-room',
        reason: `etcd's database (https://etcd-1) has 83 % of its quota of 8.0 GB in use (limit 80 %), until API servers compact it`,
      });
      expect(etcd({ dbSize: 7.5e9, dbInUse: 7.3e9 }).level).toBe('pause');
    });

    it('slow down, and pause, for what will be in use before rewriting has stopped', () => {
      expect(etcd({ dbInUse: 5e9, growth: 0.4e9 }).level).toBe('free');
      expect(etcd({ dbInUse: 6e9, growth: 0.2e9 })).toMatchObject({
        level: 'slow',
        reason:
          "etcd's database (https://etcd-1) has 75 % of its quota of 8.0 GB in use and grows by 200 MB a second (limit 80 %), until API servers compact it",
      });
      expect(etcd({ dbInUse: 6e9, growth: 0.5e9 }).level).toBe('pause');
      expect(etcd({ dbInUse: 6e9, growth: -1e9 }).level).toBe('free');
    });

    it('go on in a large file that has room inside, until the file itself is about to raise the alarm', () => {
      expect(etcd({ dbSize: 7.7e9, dbInUse: 3e9 }).level).toBe('free');
      expect(etcd({ dbSize: 7.9e9, dbInUse: 3e9 })).toMatchObject({
        level: 'pause',
        reason: `etcd's database file (https://etcd-1) has 99 % of its quota of 8.0 GB (limit 98 %): defragment this member, or raise --quota-backend-bytes`,
      });
    });

    it('pause while the alarm is raised, and not for one of another kind', () => {
      expect(verdict({ alarms: ['NOSPACE (member 8e9e)'] }).reason).toBe(
        'etcd has raised the alarm NOSPACE (member 8e9e), and refuses every write',
      );
      expect(verdict({ alarms: ['CORRUPT (member 8e9e)'] }).level).toBe('free');
    });

    it('say nothing of the room of a member that does not tell its quota', () => {
      expect(etcd({ quotaBytes: undefined, dbInUse: 7.9e9 }).level).toBe('free');
    });

    it('slow down for commits and log writes that are slow now, and not for those of yesterday', () => {
      const before = { commit: histogram(10, 90), fsync: histogram(10, 90) };
      expect(etcd({ commit: histogram(60, 90), fsync: histogram(20, 90) }, before).level).toBe('free');
      expect(etcd({ commit: histogram(10, 91), fsync: histogram(10, 90) }, before)).toMatchObject({
        level: 'pause',
        reason: 'etcd (https://etcd-1) takes up to 2,000 ms to commit (limit 1,000 ms)',
      });
    });

    it('slow down after an election, and pause while they follow each other', () => {
      expect(etcd({ leaderChanges: 3 }, { leaderChanges: 2 }).level).toBe('slow');
      expect(etcd({ leaderChanges: 5 }, { leaderChanges: 2 }).level).toBe('pause');
    });
  });

  describe("of keyferry's own requests", () => {
    const met = (p99Ms: number, refused = 0, count = 500): Verdict =>
      verdict({ requests: { count, refused, p99Ms, baselineMs: 200 } });

    it('slow down where they take three times as long as at best, and pause where they take seconds', () => {
      expect(met(590).level).toBe('free');
      expect(met(900)).toMatchObject({
        level: 'slow',
        reason: "99 % of keyferry's own requests are answered within 900 ms (limit 600 ms; at best 200 ms)",
      });
      expect(met(6_000).level).toBe('pause');
    });

    it('slow down where a few of them are refused, and pause where most are', () => {
      expect(met(100, 10)).toMatchObject({
        level: 'slow',
        reason: "2 % of keyferry's own requests were answered 429 or 503 (limit 1 %)",
      });
      expect(met(100, 300).level).toBe('pause');
    });

    it('tell nothing while they are few', () => expect(met(9_000, 5, 10).level).toBe('free'));
  });

  it('of watch caches slow down where one is seconds behind, and pause where it is half a minute', () => {
    const behind = (ms: number): Verdict => verdict({ lags: [{ server: 'cp-1', resource: 'secrets', ms }] });
    expect(behind(2_900).level).toBe('free');
    expect(behind(4_000)).toMatchObject({
      level: 'slow',
      gauge: 'watch-cache',
      reason: 'the watch cache of cp-1 is 4,000 ms behind what keyferry wrote to secrets (limit 3,000 ms)',
    });
    expect(behind(30_000).level).toBe('pause');
  });

  it('of the schedule pause outside of it', () => {
    const schedule = [{ from: '22:00', to: '06:00', timeZone: 'UTC' }];
    expect(verdict({ schedule })).toMatchObject({
      level: 'pause',
      gauge: 'schedule',
      reason: 'outside of its schedule (22:00–06:00 UTC)',
    });
    expect(verdict({ schedule, at: Date.parse('2026-01-15T23:00:00Z') }).level).toBe('free');
  });
});
