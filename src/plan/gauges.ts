import type { Reading } from './governor.ts';
import { closedLimit, relistSeconds } from './relist.ts';
import { isOpen, scheduleText, type ScheduleWindow } from './schedule.ts';

/** How many observations lay below each bound (in seconds), ascending; the last bound is Infinity. */
export type Histogram = readonly { upTo: number; count: number }[];

/** What an API server's metrics tell of how it fares. Counters count since its process started. */
export interface ServerLoad {
  name: string;
  /** When its process started, in seconds since the epoch. */
  startedAt: number;
  /** Bytes that its last garbage collection left in use; of the whole process where it doesn't tell. */
  memoryBytes: number;
  /** Requests that wait in the queues of priority and fairness. */
  queued: number;
  /** Requests that priority and fairness has refused. */
  rejected: number;
  /** Watchers of a resource that were closed because they fell behind. */
  terminatedWatchers: Readonly<Record<string, number>>;
  /** etcd's revision that its watch cache of a resource (`secrets`, `widgets.example.com`) has come to. */
  watchCaches: Readonly<Record<string, number>>;
  /** Objects that it has sent to watchers of a resource: those of a watcher's beginning, and each change. */
  sentToWatchers: Readonly<Record<string, number>>;
  /** Objects there are of a resource, as it last counted them (each minute); -1 where it couldn't. */
  objects: Readonly<Record<string, number>>;
  /** Requests for one object, of whatever client; absent where there were none. */
  requests?: Histogram | undefined;
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
  /** Bytes in use that came on a second of late; below zero while it compacts. */
  growth?: number | undefined;
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

/** How far an API server's watch cache is behind what keyferry has written itself. */
export interface WatchCacheLag {
  server: string;
  resource: string;
  ms: number;
}

/** An API server whose watchers were closed again and again, and what it sends to those of what is rewritten. */
export interface CatchingUp {
  server: string;
  objectsPerSecond: number;
}

/** What was seen of a cluster at one time; `before` and `first` lie a look, and a while, back. */
export interface Sight {
  servers: readonly { now: ServerLoad; before?: ServerLoad | undefined; first?: ServerLoad | undefined }[];
  members: readonly { now: MemberLoad; before?: MemberLoad | undefined }[];
  /** Raised alarms of etcd: `NOSPACE (member 8e9e05c52164694d)`. */
  alarms: readonly string[];
  requests?: RequestsMet | undefined;
  lags?: readonly WatchCacheLag[] | undefined;
  catchingUp?: readonly CatchingUp[] | undefined;
  schedule?: readonly ScheduleWindow[] | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

const GIB = 1024 ** 3;
/** Of fewer requests, a quantile is chance; of those of all clients, some may always be slow by themselves. */
const LEAST_REQUESTS = { own: 20, all: 300 };

/** Requests: so many times the best p99, but nothing that nobody feels; Kubernetes' own objective is 1 s. */
const LATENCY = { times: 3, warnMs: 500, criticalMs: 5_000 };
/** Part of them. */
const REFUSED = { warn: 0.01, critical: 0.5 };
const QUEUED = { warn: 10, critical: 1_000 };
const REJECTED = { warn: 1 };
/** Milliseconds. Informers, and LISTs from the cache, see objects as they were so long ago. */
const WATCH_CACHE = { warn: 3_000, critical: 30_000 };
/** Growth since rewriting began, as a multiple; and what is nothing to a machine that runs an API server. */
const MEMORY = { warn: 2, critical: 4, leastBytes: GIB / 2 };
/** As the alerts of etcd's own mixin. */
const FSYNC = { warn: 0.5, critical: 1 };
const COMMIT = { warn: 0.25, critical: 1 };
const LEADER = { warn: 1, critical: 3 };
/** Part of the quota that is in use. */
const IN_USE = { warn: 0.8, critical: 0.9 };
/** Seconds that pass until what is written stops, once it is seen that it should: by then it must not be too much. */
const STOPPING_SECONDS = 3;
/** Part of the quota that the file has: from here any write may be the one that raises the alarm. */
const FILE = { critical: 0.98 };
/** Seconds. An API server gives a call up after 3 s, if its entry says nothing else. */
const KEY_CALLS = { warn: 1 };

/** What every gauge shows of what was seen. */
export function readingsOf(sight: Sight): Reading[] {
  return [
    ...sight.servers.flatMap(({ now, before, first }) =>
      serverReadings(
        now,
        before,
        first,
        sight.servers.map((one) => one.now),
      ),
    ),
    ...sight.members.flatMap(({ now, before }) => memberReadings(now, before)),
    ...(sight.requests === undefined ? [] : requestReadings(sight.requests)),
    ...(sight.lags ?? []).map(watchCache),
    ...(sight.catchingUp ?? []).map(catchingUp),
    ...sight.alarms.filter((alarm) => alarm.startsWith('NOSPACE')).map(noSpace),
    ...(sight.schedule === undefined ? [] : [outside(sight.schedule, sight.at)]),
  ];
}

function requestReadings({ count, refused, p99Ms, baselineMs }: RequestsMet): Reading[] {
  if (count < LEAST_REQUESTS.own) return [];
  const share = refused / count;
  return [
    {
      gauge: 'latency',
      value: p99Ms,
      ...latencyLimits(baselineMs),
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

function latencyLimits(baselineMs: number): { warn: number; critical: number } {
  const slow = LATENCY.times * baselineMs;
  return { warn: Math.max(LATENCY.warnMs, slow), critical: Math.max(LATENCY.criticalMs, slow) };
}

/** What the clients of a server feel, keyferry among them; in calm times it is as it was since the process started. */
function clients(now: ServerLoad, before: ServerLoad, first: ServerLoad | undefined): Reading[] {
  const since = quantileSince(now.requests, before.requests, 0.99, LEAST_REQUESTS.all);
  if (since === undefined) return [];
  const usual = quantileSince(first?.requests, [], 0.99, LEAST_REQUESTS.all) ?? 0;
  return [
    {
      gauge: 'latency',
      value: since * 1000,
      ...latencyLimits(usual * 1000),
      says: (limit) =>
        `99 % of requests for one object are answered by ${now.name} within ${ms(since * 1000)} (limit ${ms(limit)})`,
    },
  ];
}

function serverReadings(
  now: ServerLoad,
  before: ServerLoad | undefined,
  first: ServerLoad | undefined,
  servers: readonly ServerLoad[],
): Reading[] {
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
  const keyCall = quantileSince(now.keyCalls, before.keyCalls, 0.99);
  return [
    ...readings,
    ...clients(now, before, first),
    {
      gauge: 'queues',
      value: rejected,
      ...REJECTED,
      says: (limit) =>
        `${name} has just refused ${rejected} requests (priority and fairness; limit ${limit})`,
    },
    ...closedWatchers(now, before, servers),
    {
      gauge: 'key-provider',
      value: keyCall ?? 0,
      ...KEY_CALLS,
      says: (limit) =>
        `kms plugins take up to ${ms((keyCall ?? 0) * 1000)} to answer ${name} (limit ${ms(limit * 1000)})`,
    },
  ];
}

function closedWatchers(now: ServerLoad, before: ServerLoad, servers: readonly ServerLoad[]): Reading[] {
  return Object.entries(now.terminatedWatchers).map(([resource, total]) => {
    const closed = total - (before.terminatedWatchers[resource] ?? 0);
    return {
      gauge: 'watchers',
      value: closed,
      warn: closedLimit(relistSeconds(servers, [resource])),
      says: (limit) =>
        `${now.name} has just closed ${closed} watchers of ${resource} that fell behind (limit ${limit})`,
    };
  });
}

function watchCache({ server, resource, ms: behind }: WatchCacheLag): Reading {
  return {
    gauge: 'watch-cache',
    value: behind,
    ...WATCH_CACHE,
    says: (limit) =>
      `the watch cache of ${server} is ${ms(behind)} behind what keyferry wrote to ${resource} (limit ${ms(limit)})`,
  };
}

function catchingUp({ server, objectsPerSecond }: CatchingUp): Reading {
  return {
    gauge: 'watchers',
    value: 1,
    critical: 1,
    passes: true,
    says: () =>
      `${server} has closed watchers again and again: waiting until they have caught up (${Math.round(objectsPerSecond).toLocaleString('en')} objects a second go to them)`,
  };
}

/** A server that needs twice of little needs little. */
function memory(now: ServerLoad, first: ServerLoad): Reading {
  const grown = now.memoryBytes - first.memoryBytes;
  const times = first.memoryBytes === 0 ? 1 : now.memoryBytes / first.memoryBytes;
  return {
    gauge: 'memory',
    value: grown < MEMORY.leastBytes ? 1 : times,
    warn: MEMORY.warn,
    critical: MEMORY.critical,
    says: (limit) =>
      `the memory in use by ${now.name} has grown from ${gigabytes(first.memoryBytes)} to ${gigabytes(now.memoryBytes)} (limit ${limit} times)`,
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
function room({ endpoint, dbSize, dbInUse, quotaBytes, growth = 0 }: MemberLoad): Reading[] {
  if (quotaBytes === undefined) return [];
  const part = (bytes: number): number => bytes / quotaBytes;
  const coming = Math.max(0, growth) * STOPPING_SECONDS;
  const quota = `its quota of ${gigabytes(quotaBytes)}`;
  return [
    {
      gauge: 'etcd-room',
      value: part(dbInUse + coming),
      ...IN_USE,
      says: (limit) => {
        const grows = part(dbInUse) < limit ? ` and grows by ${gigabytes(growth)} a second` : '';
        return `etcd's database (${endpoint}) has ${percent(part(dbInUse))} of ${quota} in use${grows} (limit ${percent(limit)}), until API servers compact it`;
      },
    },
    {
      gauge: 'etcd-room',
      value: part(dbSize),
      ...FILE,
      says: (limit) =>
        `etcd's database file (${endpoint}) has ${percent(part(dbSize))} of ${quota} (limit ${percent(limit)}): defragment this member, or raise --quota-backend-bytes`,
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

/** The upper bound of the bucket that a quantile of what came since lies in; undefined where less came than `least`. */
function quantileSince(
  now: Histogram | undefined,
  before: Histogram | undefined,
  q: number,
  least = 1,
): number | undefined {
  if (now === undefined || before === undefined) return undefined;
  const past = new Map(before.map(({ upTo, count }) => [upTo, count]));
  const since = now.map(({ upTo, count }) => ({ upTo, count: count - (past.get(upTo) ?? 0) }));
  const all = since.at(-1)?.count ?? 0;
  // Below zero: another process, which counts anew.
  if (all < least) return undefined;
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
