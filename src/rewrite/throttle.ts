import type { Cluster } from '../cluster/cluster.ts';
import { etcdMetrics, type EtcdMetrics } from '../cluster/etcd-metrics.ts';
import type { EtcdStatus } from '../cluster/etcd.ts';
import { recentLook, type CloseLook } from '../cluster/identity.ts';
import { ClosedWatchers } from '../plan/closed-watchers.ts';
import { readingsOf, type MemberLoad, type ServerLoad, type Sight } from '../plan/gauges.ts';
import { FREE, govern, STEP_MS, type Verdict } from '../plan/governor.ts';
import { relistSeconds } from '../plan/relist.ts';
import type { ScheduleWindow } from '../plan/schedule.ts';
import { SlowStart } from '../plan/slow-start.ts';
import { RecentRequests } from './met.ts';
import { OwnWrites } from './own-writes.ts';
import { Growth, Past, type Seen } from './past.ts';
import { Renewed } from './renewed.ts';

/** A verdict stands for so long; whoever works on the cluster in this process shares it. */
const VERDICT_MS = 1_000;
/** A look at all API servers, or at etcd's metrics, moves megabytes. */
export const LOOK_MS = 5_000;
/** An API server that is younger fills its memory by itself. */
const SETTLED_MS = 2 * 60_000;
/** What one process knows of how a cluster bears its rewriting, and how fast it may go on. */
export class Throttle {
  readonly #cluster: Cluster;
  readonly #requests = new RecentRequests();
  readonly #writes = new OwnWrites();
  readonly #status: Renewed<EtcdStatus>;
  readonly #metrics: Renewed<EtcdMetrics[]>;
  readonly #servers = new Past<ServerLoad>(
    ({ name, startedAt }) => `${name} ${startedAt}`,
    ({ startedAt }, at) => at - startedAt * 1_000 >= SETTLED_MS,
  );
  readonly #members = new Past<MemberLoad>(({ endpoint }) => endpoint);
  readonly #growth = new Growth();
  readonly #closed = new ClosedWatchers();
  /** By resource: each has a watch cache of its own. */
  readonly #starts = new Map<string, SlowStart>();
  /** By endpoint, as it last told. */
  readonly #quotas = new Map<string, number>();
  #looked: readonly ServerLoad[] = [];
  #verdict: { at: number; verdict: Promise<Verdict> } | undefined;
  #last: { at: number; verdict: Verdict } = { at: -Infinity, verdict: FREE };

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#status = new Renewed(() => cluster.etcd.status());
    this.#metrics = new Renewed(() => etcdMetrics(cluster.spec.etcd));
  }

  /** Tells how a request fared that was sent at a time: how long it took, and whether it was refused for lack of room. */
  readonly met = (sentAt: number, refused: boolean): void => {
    const now = Date.now();
    this.#requests.add(now, now - sentAt, refused);
  };

  /** Tells the revision of etcd that keyferry has just written objects of a resource with. */
  wrote(resource: string, revision: number): void {
    this.#writes.add(resource, Date.now(), revision);
  }

  /** Takes the next turn for a batch of a resource: how many milliseconds it is away. */
  turn(resource: string, objects: number): number {
    const start = this.#starts.get(resource) ?? new SlowStart();
    this.#starts.set(resource, start);
    return start.turn(objects, Date.now(), relistSeconds(this.#looked, [resource]));
  }

  /**
   * How fast rewriting may go on now. What doesn't answer isn't waited for, the first time aside: the engine meets it too.
   *
   * @param known - identities of listed API servers from when they last answered
   */
  async verdict(known: readonly string[], schedule?: readonly ScheduleWindow[]): Promise<Verdict> {
    const now = Date.now();
    if (this.#verdict === undefined || now - this.#verdict.at >= VERDICT_MS) {
      this.#verdict = { at: now, verdict: this.#judge(known, schedule) };
    }
    return await this.#verdict.verdict;
  }

  async #judge(known: readonly string[], schedule: readonly ScheduleWindow[] | undefined): Promise<Verdict> {
    const [look, status, metrics] = await Promise.all([
      // Whoever writes looks too, and tells what it can't.
      recentLook(this.#cluster, known, LOOK_MS).catch(() => undefined),
      this.#status.value(VERDICT_MS),
      this.#metrics.value(LOOK_MS),
    ]);
    const at = Date.now();
    this.#looked = look?.loads ?? this.#looked;
    const servers = look === undefined ? [] : this.#servers.compared(seenServers(look));
    for (const { endpoint, quotaBytes } of metrics?.value ?? []) {
      if (quotaBytes !== undefined) this.#quotas.set(endpoint, quotaBytes);
    }
    const rewritten = this.#writes.resources(at);
    const relist = relistSeconds(this.#looked, rewritten);
    const sight: Sight = {
      servers,
      members:
        status === undefined
          ? []
          : this.#members.compared(seenMembers(status, metrics, this.#growth, this.#quotas)),
      alarms: status?.value.alarms ?? [],
      requests: this.#requests.summary(at),
      lags: look === undefined ? [] : this.#writes.lags(look),
      catchingUp: this.#closed.waiting(look?.at, servers, rewritten, relist),
      schedule,
      at,
    };
    // The first verdict counts as a whole step.
    const sinceMs = Math.min(STEP_MS, at - this.#last.at);
    const verdict = govern(readingsOf(sight), this.#last.verdict, sinceMs);
    this.#last = { at, verdict };
    return verdict;
  }
}

const throttles = new WeakMap<Cluster, Throttle>();

/** The throttle of a cluster: this process has one. */
export function throttleOf(cluster: Cluster): Throttle {
  const known = throttles.get(cluster);
  if (known !== undefined) return known;
  const throttle = new Throttle(cluster);
  throttles.set(cluster, throttle);
  return throttle;
}

function seenServers({ at, loads }: CloseLook): Seen<ServerLoad> {
  return { at, loads };
}

/** Sizes are asked for every second, the rest with etcd's metrics: what is counted is compared at that distance. */
function seenMembers(
  status: { value: EtcdStatus; at: number },
  metrics: { value: EtcdMetrics[]; at: number } | undefined,
  growth: Growth,
  quotas: ReadonlyMap<string, number>,
): Seen<MemberLoad> {
  return {
    at: metrics?.at ?? 0,
    loads: status.value.members.flatMap((member) => {
      if ('silent' in member) return [];
      const told = metrics?.value.find(({ endpoint }) => endpoint === member.endpoint);
      const quota = quotas.get(member.endpoint);
      return [
        {
          endpoint: member.endpoint,
          dbSize: member.dbSize,
          dbInUse: member.dbInUse,
          growth: growth.of(member.endpoint, status.at, member.dbInUse),
          // 0 is how a member is told to take what is usual, which differs by version.
          quotaBytes: quota === 0 ? undefined : quota,
          leaderChanges: told?.leaderChanges,
          fsync: told?.fsync,
          commit: told?.commit,
        },
      ];
    }),
  };
}
