import { cluster } from './activities.ts';
import { fenceOf } from './inputs.ts';
import type { StorageVersionRun } from './storage-version-run.ts';

/**
 * Puts back what the cluster's own migrator took out of `status.storedVersions`: that it has ended proves nothing, and a version
 * that isn't named there may leave the definition. Safe to repeat.
 *
 * @returns why it can't be put back, where it can't
 */
export async function keepStored(run: StorageVersionRun): Promise<string | undefined> {
  const { stored, storedBefore, trimmed } = run.state;
  const lost: string[] = [];
  for (const one of stored) {
    const { definition } = one;
    if (definition === undefined || trimmed.includes(definition.name)) continue;
    const { name } = definition;
    const before = storedBefore[name] ?? [];
    const { back, gone } = await cluster.keepStored({ ...fenceOf(run), stored: one, before });
    if (back.length > 0) {
      run.note({
        actor: 'keyferry',
        verified: true,
        what: `put ${back.join(', ')} back among the stored versions of ${name}`,
        reason: 'they were removed before a census had shown that no object lies in them',
      });
    }
    if (gone.length > 0) {
      lost.push(`${gone.join(', ')} left spec.versions of ${name}, and no API server reads what lies in it`);
    }
  }
  return lost.length === 0 ? undefined : lost.join('; ');
}

/** As {@link keepStored}; where it can't, it stands still until a person has mended that. */
export async function keepStoredOrHold(run: StorageVersionRun): Promise<'kept' | 'held'> {
  const why = await keepStored(run);
  if (why === undefined) return 'kept';
  run.note({ actor: 'keyferry', verified: true, what: 'stopped', reason: why });
  run.hold(`${why}: add it to spec.versions again, served or not, and resume`);
  return 'held';
}
