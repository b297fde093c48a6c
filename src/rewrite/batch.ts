import type { IRequestOp, IResponseOp } from 'etcd3';
import type { Cluster } from '../cluster/cluster.ts';
import type { EtcdEntry } from '../cluster/etcd.ts';
import { compareFenced, FENCE_OPERATIONS, type Fence } from '../cluster/fence.ts';
import { KeyferryError } from '../errors.ts';

/** etcd's own bounds of a transaction (--max-txn-ops), less what the fence takes. */
export const MAX_PUTS = 128 - FENCE_OPERATIONS;
/** Of a transaction, in bytes: well below what etcd takes (--max-request-bytes, 1.5 MiB). A larger value goes alone. */
const MAX_BYTES = 1024 * 1024;
/** What a compare and a put take in a request beside keys and values, at most. */
const OVERHEAD_BYTES = 64;

/** A value that is to take the place of the one that was read. */
export interface Replacement {
  read: Pick<EtcdEntry, 'key' | 'modRevision'>;
  value: Buffer;
}

/** What became of a batch; what is in neither list was written. */
export interface BatchOutcome {
  /** Another value is there now, or may be: each has to be looked at anew. */
  lost: Replacement[];
  /** etcd doesn't take them, even alone. */
  tooLarge: Replacement[];
  /** etcd's revision after it; absent where nothing was written. */
  revision?: number;
  /** Why it isn't known what became of them, where that is the reason. */
  unanswered?: string;
}

/** Cuts replacements into transactions that etcd takes. */
export function batchesOf(all: readonly Replacement[]): Replacement[][] {
  const batches: Replacement[][] = [];
  let open: Replacement[] = [];
  let bytes = 0;
  for (const one of all) {
    const more = bytesOf(one);
    if (open.length === MAX_PUTS || (open.length > 0 && bytes + more > MAX_BYTES)) {
      batches.push(open);
      open = [];
      bytes = 0;
    }
    open.push(one);
    bytes += more;
  }
  return open.length === 0 ? batches : [...batches, open];
}

/** The key stands in the compare and in the put. */
function bytesOf({ read, value }: Replacement): number {
  return value.length + 2 * Buffer.byteLength(read.key) + OVERHEAD_BYTES;
}

/**
 * Puts values where those still lie that were read, all in one transaction; the fence is compared with them. Where another
 * writer was faster, the others of the batch go once more, without what it wrote.
 *
 * @throws KeyferryError `Fenced`
 */
export async function writeBatch(
  cluster: Cluster,
  fence: Fence,
  batch: readonly Replacement[],
): Promise<BatchOutcome> {
  const lost: Replacement[] = [];
  let left = batch;
  while (left.length > 0) {
    const answer = await send(cluster, fence, left);
    if ('outcome' in answer) {
      const { outcome } = answer;
      return { ...outcome, lost: [...lost, ...outcome.lost] };
    }
    if (answer.written) return { lost, tooLarge: [], revision: answer.revision };
    const { present } = answer;
    const untouched = left.filter(({ read }, i) => present[i] === read.modRevision);
    // One of them at least was touched: else nothing would have lost.
    if (untouched.length === left.length) return { lost: [...lost, ...left], tooLarge: [] };
    lost.push(...left.filter(({ read }, i) => present[i] !== read.modRevision));
    left = untouched;
  }
  return { lost, tooLarge: [] };
}

type Answer =
  { written: true; revision: number } | { written: false; present: number[] } | { outcome: BatchOutcome };

async function send(cluster: Cluster, fence: Fence, batch: readonly Replacement[]): Promise<Answer> {
  const keys = batch.map(({ read }) => Buffer.from(read.key));
  const keyOf = (i: number): Buffer => keys[i] ?? Buffer.alloc(0);
  try {
    const { succeeded, revision } = await compareFenced(cluster, fence, {
      compare: batch.map(({ read }, i) => ({
        key: keyOf(i),
        target: 'Mod',
        result: 'Equal',
        mod_revision: read.modRevision,
      })),
      // Events and the like have a lease, by which they end: it stays.
      success: batch.map(({ value }, i): IRequestOp => ({
        request_put: { key: keyOf(i), value, ignore_lease: true },
      })),
    });
    if (succeeded) return { written: true, revision };
    // Asked only now: a transaction that carries these questions is half as large again, and nearly none needs them.
    const { responses } = await cluster.etcd.txn({
      compare: [],
      success: keys.map((key): IRequestOp => ({ request_range: { key, keys_only: true } })),
      failure: [],
    });
    return { written: false, present: responses.map(presentIn) };
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    if (error.code === 'TooLargeForEtcd') return { outcome: await inParts(cluster, fence, batch) };
    if (!error.retryable) throw error;
    // It may have been done: then what is there is current by now.
    return { outcome: { lost: [...batch], tooLarge: [], unanswered: error.message } };
  }
}

/** This etcd takes less than others do. */
async function inParts(cluster: Cluster, fence: Fence, batch: readonly Replacement[]): Promise<BatchOutcome> {
  if (batch.length <= 1) return { lost: [], tooLarge: [...batch] };
  const middle = Math.ceil(batch.length / 2);
  const first = await writeBatch(cluster, fence, batch.slice(0, middle));
  const second = await writeBatch(cluster, fence, batch.slice(middle));
  return {
    ...first,
    ...second,
    lost: [...first.lost, ...second.lost],
    tooLarge: [...first.tooLarge, ...second.tooLarge],
  };
}

/** The revision that wrote what is there; 0 where nothing is. */
function presentIn({ response_range }: IResponseOp): number {
  return Number(response_range.kvs[0]?.mod_revision ?? 0);
}
