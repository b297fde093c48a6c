import type { QuickCount } from '../census/survey.ts';
import type { EtcdMember } from '../cluster/etcd.ts';
import type { EtcdMetrics } from '../cluster/etcd-metrics.ts';
import { judged, type Asked, type Check } from './preflight.ts';

/** Part of etcd's quota above which its own room is said to be short. */
const QUOTA_SHORT = 0.8;
/** Seconds until what was rewritten is compacted away: API servers compact every 5 minutes what is older than that. */
const COMPACTED_AFTER_S = 600;
/** What etcd takes where nothing else is set. */
const USUAL_QUOTA = 2 * 1024 ** 3;
/** A page of etcd's database (bbolt), of which etcd fills nine tenths. */
const PAGE_BYTES = 4096;
const FILLED_BYTES = 0.9 * PAGE_BYTES - 16;
/** Beside key and value: revisions, version and lengths; the revision that it lies under; the page's index. */
const ENTRY_BYTES = 20 + 17 + 16;

/**
 * How many bytes of etcd's database one more revision of a key takes, about: entries don't span two leaves, so a leaf has half
 * an entry less than it could; one of large entries has two of them, in as many pages as they need.
 *
 * @param bytes - of key and value
 */
export function bytesInEtcd(bytes: number): number {
  const entry = bytes + ENTRY_BYTES;
  const inLeaves = entry < FILLED_BYTES ? (PAGE_BYTES * entry) / (FILLED_BYTES - entry / 2) : Infinity;
  return Math.min(inLeaves, entry + PAGE_BYTES / 4);
}

/** Judges whether etcd's members have room for a second version of every object that is to be rewritten. */
export function judgeRoom(
  asked: Asked<QuickCount>,
  members: readonly EtcdMember[],
  metrics: readonly EtcdMetrics[],
  objectsPerSecond: number,
): Check {
  return judged('room in etcd', asked, ({ objects, bytes, outside, growth }) => {
    const present = bytes / Math.max(1, objects);
    const rewritten = present + growth;
    const inEtcd = bytesInEtcd(rewritten);
    const atOnce = objectsPerSecond === 0 ? outside : Math.min(outside, objectsPerSecond * COMPACTED_AFTER_S);
    const needed = Math.ceil(atOnce * inEtcd);
    const rooms = members.flatMap((member) => {
      if ('silent' in member) return [];
      const told = metrics.find(({ endpoint }) => endpoint === member.endpoint)?.quotaBytes;
      // 0 is how a member is told to take what is usual.
      const quota = told === undefined || told === 0 ? USUAL_QUOTA : told;
      const part = (member.dbInUse + needed) / quota;
      return [{ ...member, part, quota, usual: told === undefined }];
    });
    const tightest = rooms.sort((a, b) => b.part - a.part)[0];
    if (tightest === undefined) {
      return { outcome: 'warn', detail: 'no member of etcd answered', remedy: 'bring them back' };
    }
    const quota = `${megabytes(tightest.quota)}${tightest.usual ? " (etcd's usual quota: its own is not told)" : ''}`;
    const each = `${whole(present)} bytes each with their keys, ${whole(rewritten)} under the target, ${whole(inEtcd)} in etcd's pages`;
    const paced =
      atOnce < outside
        ? `, of which ${whole(atOnce)} are rewritten until they are compacted at that pace`
        : '';
    const detail = `${whole(outside)} objects to rewrite (${each})${paced} need about ${megabytes(needed)} until they are compacted; ${tightest.endpoint} has ${megabytes(tightest.dbInUse)} in use of ${quota}`;
    if (tightest.part <= QUOTA_SHORT) return { outcome: 'pass', detail };
    return {
      outcome: tightest.part > 1 && !tightest.usual ? 'fail' : 'warn',
      detail,
      remedy:
        'raise --quota-backend-bytes, or slow down (spec.pace.objectsPerSecond: less then lies there between two compactions); at its quota etcd refuses every write of the cluster',
    };
  });
}

function whole(count: number): string {
  return Math.round(count).toLocaleString('en');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toLocaleString('en', { maximumFractionDigits: bytes < 1e7 ? 1 : 0 })} MB`;
}
