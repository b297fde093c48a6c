/** What is to be known of a member of etcd to choose one. */
export type Fragmented = { endpoint: string } & (
  { dbSize: number; dbInUse: number; leads: boolean } | { silent: string }
);

/** Part of a file that is free: for less it isn't worth standing still. */
const WORTH = 0.25;

/**
 * Which member of etcd to defragment next: one that has much to give back, followers before the leader. None while one is
 * silent, for those that are left have to keep the quorum; nor while etcd has an alarm that isn't about room.
 *
 * @param alarms - as etcd's status tells them: `NOSPACE (member 8e9e05c52164694d)`
 * @returns `why` not, where one may be worth it; undefined where nobody has much to give back
 */
export function nextToDefragment(
  members: readonly Fragmented[],
  alarms: readonly string[],
): { endpoint: string } | { why: string } | undefined {
  const answering = members.flatMap((member) => ('silent' in member ? [] : [member]));
  const silent = members.find((member) => 'silent' in member);
  if (silent !== undefined) return { why: `no member is defragmented while ${silent.endpoint} is silent` };
  const other = alarms.find((alarm) => !alarm.startsWith('NOSPACE'));
  if (other !== undefined)
    return { why: `no member is defragmented while etcd has raised the alarm ${other}` };
  const [next] = answering
    .filter(({ dbSize, dbInUse }) => dbSize - dbInUse > WORTH * dbSize)
    .sort((a, b) => Number(a.leads) - Number(b.leads) || b.dbSize - a.dbSize);
  return next === undefined ? undefined : { endpoint: next.endpoint };
}
