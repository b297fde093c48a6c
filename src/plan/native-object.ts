import type { Resource } from '../cluster/resources.ts';
import type { NativeApi } from './native-migration.ts';

const MAX_NAME = 253;

/**
 * The name of a StorageVersionMigration that keyferry makes: the same for a retry, another one for another attempt.
 *
 * @param owner - what made it, unlike any other: a migration's id
 * @param attempt - counts the times that the same owner begins anew
 */
export function nativeName(owner: string, attempt: number, resource: string): string {
  return `${nativePrefix(owner)}${attempt}-${resource}`.slice(0, MAX_NAME).replace(/[-.]+$/, '');
}

/** What the names of all StorageVersionMigrations of an owner begin with. */
export function nativePrefix(owner: string): string {
  return `keyferry-${owner}-`;
}

/** A StorageVersionMigration of a resource, by the fields that this cluster's schema has. */
export function nativeObject(api: NativeApi, resource: Resource, name: string): object {
  const { group, version } = groupAndVersion(resource);
  const values: Readonly<Record<string, string>> = { group, version, resource: resource.plural };
  return {
    apiVersion: api.apiVersion,
    kind: 'StorageVersionMigration',
    metadata: { name, labels: { 'app.kubernetes.io/managed-by': 'keyferry' } },
    spec: {
      resource: Object.fromEntries(Object.entries(values).filter(([field]) => api.fields.includes(field))),
    },
  };
}

/** `secrets`, `widgets.example.com`. */
export function groupResource({ group = '', resource = '' }: { group?: string; resource?: string }): string {
  return group === '' ? resource : `${resource}.${group}`;
}

export function groupAndVersion({ apiVersion }: Resource): { group: string; version: string } {
  const [first = '', second] = apiVersion.split('/');
  return second === undefined ? { group: '', version: first } : { group: first, version: second };
}
