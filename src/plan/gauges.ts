import type { Reading } from './governor.ts';
import { isOpen, scheduleText, type ScheduleWindow } from './schedule.ts';

/** How many observations lay below each bound (in seconds), ascending; the last bound is Infinity. */
export type Histogram = readonly { upTo: number; count: number }[];

/** What an API server's metrics tell of how it fares. Counters count since its process started. */
export interface ServerLoad {
  name: string;
  /** When its process started, in seconds since the epoch. */
  startedAt: number;
  residentBytes: number;
  /** Requests that wait in the queues of priority and fairness. */
  queued: number;
  /** Requests that priority and fairness has refused. */
  rejected: number;
  /** Watchers that were closed because they fell behind. */
  terminatedWatchers: number;
  /** Calls to kms plugins that were answered well; absent where there were none. */
  keyCalls?: Histogram | undefined;
}

/** What a member of etcd tells of how it fares. Counters count since its process started. */
export interface MemberLoad {
  endpoint: string;
  /** Bytes of its database file: what its quota is about. */
  dbSize: number;
  /** Bytes in use in it. The rest was compacted, and is written over before the file grows. */
  dbInUse: number;
  /** Absent where it doesn't tell. */
  quotaBytes?: number | undefined;
  leaderChanges?: number | undefined;
  fsync?: Histogram | undefined;
  commit?: Histogram | undefined;
}

/** What keyferry's own requests have met of late. */
export interface RequestsMet {
  count: number;
  /** Of them: answered 429 or 503. */
  refused: number;
  p99Ms: number;
  /** The lowest p99 that was met so far. */
  baselineMs: number;
}

/** What was seen of a cluster at one time; `before` and `first` lie a look, and a while, back. */
export interface Sight {
  servers: readonly { now: ServerLoad; before?: ServerLoad | undefined; first?: ServerLoad | undefined }[];
  members: readonly { now: MemberLoad; before?: MemberLoad | undefined }[];
  /** Raised alarms of etcd: `NOSPACE (member 8e9e05c52164694d)`. */
  alarms: readonly string[];
  requests?: RequestsMet | undefined;
  schedule?: readonly ScheduleWindow[] | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

const GIB = 1024 ** 3;
/** Of fewer requests, a quantile is chance. */
const LEAST_REQUESTS = 20;

/** Own requests: so many times the best p99, but nothing that nobody feels; Kubernetes' own objective is 1 s. */
const LATENCY = { times: 3, warnMs: 500, criticalMs: 5_000 };
/** Part of them. */
const REFUSED = { warn: 0.01, critical: 0.5 };
const QUEUED = { warn: 10, critical: 1_000 };
const REJECTED = { warn: 1 };
const WATCHERS = { warn: 1, critical: 50 };
/** Growth since rewriting began, as a multiple; and what is nothing to a machine that runs an API server. */
const MEMORY = { warn: 2, critical: 4, leastBytes: GIB };
/** As the alerts of etcd's own mixin. */
const FSYNC = { warn: 0.5, critical: 1 };
const COMMIT = { warn: 0.25, critical: 1 };
const LEADER = { warn: 1, critical: 3 };
/** Part of the quota that is in use. */
const IN_USE = { warn: 0.8, critical: 0.9 };
/** Part of the quota that the file has: from here any write may be the one that raises the alarm. */
const FILE = { critical: 0.98 };
/** Seconds. An API server gives a call up after 3 s, if its entry says nothing else. */
const KEY_CALLS = { warn: 1 };

/** What every gauge shows of what was seen. */
export function readingsOf(sight: Sight): Reading[] {
  return [
    ...sight.servers.flatMap(({ now, before, first }) => serverReadings(now, before, first)),
    ...sight.members.flatMap(({ now, before }) => memberReadings(now, before)),
    ...(sight.requests === undefined ? [] : requestReadings(sight.requests)),
    ...sight.alarms.filter((alarm) => alarm.startsWith('NOSPACE')).map(noSpace),
    ...(sight.schedule === undefined ? [] : [outside(sight.schedule, sight.at)]),
  ];
}

function requestReadings({ count, refused, p99Ms, baselineMs }: RequestsMet): Reading[] {
  if (count < LEAST_REQUESTS) return [];
  const share = refused / count;
  return [
    {
      gauge: 'latency',
      value: p99Ms,
      warn: Math.max(LATENCY.warnMs, LATENCY.times * baselineMs),
      critical: Math.max(LATENCY.criticalMs, LATENCY.times * baselineMs),
      says: (limit) =>
        `99 % of keyferry's own requests are answered within ${ms(p99Ms)} (limit ${ms(limit)}; at best ${ms(baselineMs)})`,
    },
    {
      gauge: 'refusals',
      value: share,
      ...REFUSED,
      says: (limit) =>
        `${percent(share)} of keyferry's own requests were answered 429 or 503 (limit ${percent(limit)})`,
    },
  ];
}

function serverReadings(now: ServerLoad, before?: ServerLoad, first?: ServerLoad): Reading[] {
  const { name } = now;
  const readings: Reading[] = [
    {
      gauge: 'queues',
      value: now.queued,
      ...QUEUED,
      says: (limit) =>
        `${now.queued} requests wait in the queues of ${name} (priority and fairness; limit ${limit})`,
    },
  ];
  // Another process counts anew, and holds what it held when it began.
  const same = (other: ServerLoad | undefined): other is ServerLoad => other?.startedAt === now.startedAt;
  if (same(first)) readings.push(memory(now, first));
  if (!same(before)) return readings;
  const rejected = now.rejected - before.rejected;
  const watchers = now.terminatedWatchers - before.terminatedWatchers;
  const keyCall = quantileSince(now.keyCalls, before.keyCalls, 0.99);
  return [
    ...readings,
    {
      gauge: 'queues',
      value: rejected,
      ...REJECTED,
      says: (limit) =>
        `${name} has just refused ${rejected} requests (priority and fairness; limit ${limit})`,
    },
    {
      gauge: 'watchers',
      value: watchers,
      ...WATCHERS,
      says: (limit) => `${name} has just closed ${watchers} watchers that fell behind (limit ${limit})`,
    },
    {
      gauge: 'key-provider',
      value: keyCall ?? 0,
      ...KEY_CALLS,
      says: (limit) =>
        `kms plugins take up to ${ms((keyCall ?? 0) * 1000)} to answer ${name} (limit ${ms(limit * 1000)})`,
    },
  ];
}

/** A server that needs twice of little needs little. */
function memory(now: ServerLoad, first: ServerLoad): Reading {
  const grown = now.residentBytes - first.residentBytes;
  const times = first.residentBytes === 0 ? 1 : now.residentBytes / first.residentBytes;
  return {
    gauge: 'memory',
    value: grown < MEMORY.leastBytes ? 1 : times,
    warn: MEMORY.warn,
    critical: MEMORY.critical,
    says: (limit) =>
      `the memory of ${now.name} has grown from ${gigabytes(first.residentBytes)} to ${gigabytes(now.residentBytes)} (limit ${limit} times)`,
  };
}

function memberReadings(now: MemberLoad, before: MemberLoad | undefined): Reading[] {
  const { endpoint } = now;
  const latencies = (
    [
      ['write to its log', now.fsync, before?.fsync, FSYNC],
      ['commit', now.commit, before?.commit, COMMIT],
    ] as const
  ).flatMap(([what, histogram, past, limits]): Reading[] => {
    const seconds = quantileSince(histogram, past, 0.99);
    if (seconds === undefined) return [];
    return [
      {
        gauge: 'etcd-latency',
        value: seconds,
        ...limits,
        says: (limit) =>
          `etcd (${endpoint}) takes up to ${ms(seconds * 1000)} to ${what} (limit ${ms(limit * 1000)})`,
      },
    ];
  });
  const elections = (now.leaderChanges ?? 0) - (before?.leaderChanges ?? now.leaderChanges ?? 0);
  return [
    ...room(now),
    ...latencies,
    {
      gauge: 'etcd-leader',
      value: elections,
      ...LEADER,
      says: (limit) => `etcd (${endpoint}) has just seen ${elections} changes of its leader (limit ${limit})`,
    },
  ];
}

/**
 * How full a member is. The alarm is about the file, which never gets smaller by itself; but while something in it is
 * free, what is written goes there. So what is in use counts, and the file only right before the alarm.
 */
function room({ endpoint, dbSize, dbInUse, quotaBytes }: MemberLoad): Reading[] {
  if (quotaBytes === undefined) return [];
  const part = (bytes: number): number => bytes / quotaBytes;
  return [
    {
      gauge: 'etcd-room',
      value: part(dbInUse),
      ...IN_USE,
      says: (limit) =>
        `etcd's database (${endpoint}) has ${percent(part(dbInUse))} of its quota of ${gigabytes(quotaBytes)} in use (limit ${percent(limit)}), until API servers compact it`,
    },
    {
      gauge: 'etcd-room',
      value: part(dbSize),
      ...FILE,
      says: (limit) =>
        `etcd's database file (${endpoint}) has ${percent(part(dbSize))} of its quota of ${gigabytes(quotaBytes)} (limit ${percent(limit)}): defragment this member, or raise --quota-backend-bytes`,
    },
  ];
}

function noSpace(alarm: string): Reading {
  return {
    gauge: 'etcd-room',
    value: 1,
    critical: 1,
    says: () => `etcd has raised the alarm ${alarm}, and refuses every write`,
  };
}

function outside(schedule: readonly ScheduleWindow[], at: number): Reading {
  return {
    gauge: 'schedule',
    value: isOpen(schedule, at) ? 0 : 1,
    critical: 1,
    says: () => `outside of its schedule (${scheduleText(schedule)})`,
  };
}

/** The upper bound of the bucket that a quantile of what came since lies in; undefined where nothing came. */
function quantileSince(
  now: Histogram | undefined,
  before: Histogram | undefined,
  q: number,
): number | undefined {
  if (now === undefined || before === undefined) return undefined;
  const past = new Map(before.map(({ upTo, count }) => [upTo, count]));
  const since = now.map(({ upTo, count }) => ({ upTo, count: count - (past.get(upTo) ?? 0) }));
  const all = since.at(-1)?.count ?? 0;
  // Below zero: another process, which counts anew.
  if (all <= 0) return undefined;
  const bucket = since.findIndex(({ count }) => count >= all * q);
  const bound = since[bucket]?.upTo ?? Infinity;
  return bound === Infinity ? since.at(-2)?.upTo : bound;
}

function ms(value: number): string {
  return `${Math.round(value).toLocaleString('en')} ms`;
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function gigabytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
