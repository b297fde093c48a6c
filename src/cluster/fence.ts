import type { ITxnRequest, ITxnResponse } from 'etcd3';
import { KeyferryError } from '../errors.ts';
import { askAny, type Cluster } from './cluster.ts';

/** Which migration may write, and since when: whoever comes with an older epoch is refused. */
export interface Fence {
  /** The migration, unlike any other of any Temporal. */
  holder: string;
  /** Goes up with each pass, pause and change of direction. */
  epoch: number;
}

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
const LEASE = 'keyferry';

interface Lease {
  metadata: { resourceVersion: string };
  spec?: { holderIdentity?: string };
}

/**
 * Takes the cluster for one migration, and raises its fence. Safe to repeat.
 *
 * The Lease never expires by itself: a migration may stand still for weeks, and be no less under way.
 *
 * @throws KeyferryError `ClusterTaken` while another migration holds the Lease; `Fenced` when a newer epoch is in force
 */
export async function raiseFence(cluster: Cluster, fence: Fence): Promise<void> {
  await takeLease(cluster, fence.holder);
  const key = fenceKey(cluster);
  const present = await cluster.etcd.get(key);
  const inForce = present === undefined ? undefined : parse(present.value.toString());
  if (inForce?.holder === fence.holder && inForce.epoch === fence.epoch) return;
  if (inForce?.holder === fence.holder && inForce.epoch > fence.epoch) throw fenced(fence);
  const { succeeded } = await cluster.etcd.txn({
    compare: [
      { key: Buffer.from(key), target: 'Mod', result: 'Equal', mod_revision: present?.modRevision ?? 0 },
    ],
    success: [{ request_put: { key: Buffer.from(key), value: Buffer.from(text(fence)) } }],
    failure: [],
  });
  if (succeeded) return;
  throw new KeyferryError('FenceRace', 'somebody else raised the fence in etcd at the same time', {
    remedy: 'keyferry looks again',
    retryable: true,
  });
}

/**
 * Gives the cluster back: the fence first, so that a Lease always stands before one.
 *
 * @throws KeyferryError `UnavailableLease`, retryable
 */
export async function dropFence(cluster: Cluster, fence: Fence): Promise<void> {
  await cluster.etcd.txn({
    compare: [compareFence(cluster, fence)],
    success: [{ request_delete_range: { key: Buffer.from(fenceKey(cluster)) } }],
    failure: [],
  });
  const lease = await readLease(cluster);
  if (lease === undefined || lease.spec?.holderIdentity !== fence.holder) return;
  const answer = await askAny(cluster, {
    method: 'DELETE',
    path: `${LEASES}/${LEASE}`,
    body: { preconditions: { resourceVersion: lease.metadata.resourceVersion } },
  });
  if (answer.status >= 300 && answer.status !== 404) throw unavailable(answer.server, answer.status);
}

/**
 * The migration that has the cluster now, of whatever Temporal; undefined where none has.
 *
 * @throws KeyferryError `UnavailableLease`, retryable
 */
export async function holderOf(cluster: Cluster): Promise<string | undefined> {
  const lease = await readLease(cluster);
  return lease === undefined ? undefined : (lease.spec?.holderIdentity ?? 'of no name');
}

/** @throws KeyferryError `Fenced` for whoever comes back from the dead with an older epoch */
export async function checkFence(cluster: Cluster, fence: Fence): Promise<void> {
  const present = await cluster.etcd.get(fenceKey(cluster));
  if (present?.value.toString() !== text(fence)) throw fenced(fence);
}

/**
 * Writes to etcd, unless a newer epoch is in force.
 *
 * @throws KeyferryError `Fenced`
 */
export async function writeFenced(
  cluster: Cluster,
  fence: Fence,
  request: Pick<ITxnRequest, 'success'>,
): Promise<void> {
  await compareFenced(cluster, fence, { compare: [], failure: [], ...request });
}

/** Of a transaction's compares and operations, how many are the fence's own: etcd bounds each list. */
export const FENCE_OPERATIONS = 1;

/**
 * Writes to etcd where compares hold, and the fence with them, in one transaction.
 *
 * @returns the answer to the caller's own operations, and etcd's revision after them; `succeeded` is false where one of the caller's compares lost
 * @throws KeyferryError `Fenced` when a newer epoch is in force; what {@link EtcdClient.txn} throws
 */
export async function compareFenced(
  cluster: Cluster,
  fence: Fence,
  { compare = [], success = [], failure = [] }: ITxnRequest,
): Promise<Pick<ITxnResponse, 'succeeded' | 'responses'> & { revision: number }> {
  const { succeeded, responses, header } = await cluster.etcd.txn({
    compare: [compareFence(cluster, fence), ...compare],
    success,
    // Of the moment in which the compares lost: whose fault it was.
    failure: [{ request_range: { key: Buffer.from(fenceKey(cluster)) } }, ...failure],
  });
  const revision = Number(header.revision);
  if (succeeded) return { succeeded, responses, revision };
  const [inForce, ...others] = responses;
  const present = inForce?.response_range.kvs[0]?.value.toString();
  if (present !== text(fence)) throw fenced(fence);
  return { succeeded, responses: others, revision };
}

async function takeLease(cluster: Cluster, holder: string): Promise<void> {
  const now = new Date().toISOString().replace('Z', '000Z');
  const answer = await askAny(cluster, {
    method: 'POST',
    path: LEASES,
    body: {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: LEASE, labels: { 'app.kubernetes.io/managed-by': 'keyferry' } },
      spec: { holderIdentity: holder, acquireTime: now },
    },
  });
  if (answer.status < 300) return;
  if (answer.status !== 409) throw unavailable(answer.server, answer.status);
  const other = await holderOf(cluster);
  if (other === holder) return;
  if (other === undefined) throw unavailable(answer.server, answer.status);
  throw new KeyferryError('ClusterTaken', `the migration ${other} holds the Lease ${LEASE} in kube-system`, {
    remedy: `let it end or roll it back (it may run in another Temporal); only if it is gone for good, "kubectl -n kube-system delete lease ${LEASE}"`,
    retryable: true,
  });
}

async function readLease(cluster: Cluster): Promise<Lease | undefined> {
  const { status, body, server } = await askAny(cluster, { method: 'GET', path: `${LEASES}/${LEASE}` });
  if (status === 404) return undefined;
  if (status !== 200) throw unavailable(server, status);
  return body as Lease;
}

function compareFence(cluster: Cluster, fence: Fence): NonNullable<ITxnRequest['compare']>[number] {
  return {
    key: Buffer.from(fenceKey(cluster)),
    target: 'Value',
    result: 'Equal',
    value: Buffer.from(text(fence)),
  };
}

/** Beside what the API servers keep there: clusters that share an etcd have a prefix each. */
function fenceKey(cluster: Cluster): string {
  return `${cluster.spec.etcd.prefix}/keyferry.dev/fence`;
}

function text({ holder, epoch }: Fence): string {
  return `${epoch} ${holder}`;
}

function parse(value: string): Fence | undefined {
  const [, epoch, holder] = /^(\d+) (.+)$/.exec(value) ?? [];
  return holder === undefined ? undefined : { holder, epoch: Number(epoch) };
}

function fenced(fence: Fence): KeyferryError {
  return new KeyferryError(
    'Fenced',
    `a newer step of the migration shut this one out (epoch ${fence.epoch} is over)`,
    { remedy: 'nothing: whatever is still to be done is done by the newer step' },
  );
}

function unavailable(server: string, status: number): KeyferryError {
  return new KeyferryError('UnavailableLease', `${server} answered ${status} for the Lease ${LEASE}`, {
    remedy: "let the kubeconfig's user get, create and delete leases in kube-system (deploy/rbac.yaml)",
    retryable: true,
  });
}
