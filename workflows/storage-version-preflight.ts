import { bounded, failed, passed, type Check } from '../src/plan/preflight.ts';
import type { StorageVersionMigration } from '../src/spec/storage-version-migration.ts';
import { cluster } from './activities.ts';
import { troubleOf } from './failures.ts';
import type { StoragePreflightResult } from './types.ts';

export interface StoragePreflightReport extends StoragePreflightResult {
  passed: boolean;
}

/** Runs every check of a StorageVersionMigration, and changes nothing. */
export async function storageVersionPreflight({
  spec,
}: StorageVersionMigration): Promise<StoragePreflightReport> {
  const found = await seen(spec);
  const checks: Check[] = bounded(found.checks);
  return { ...found, checks, passed: passed(checks) };
}

async function seen(spec: StorageVersionMigration['spec']): Promise<StoragePreflightResult> {
  try {
    return await cluster.storagePreflight({ cluster: spec.cluster, resources: spec.resources });
  } catch (error) {
    const { message, remedy = 'mend it and start again', retryable } = troubleOf(error);
    return { checks: [failed('cluster', { message, remedy, retryable })], stored: [], known: [] };
  }
}
