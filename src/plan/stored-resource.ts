import type { Resource } from '../cluster/resources.ts';
import type { Definition, ServerStorage, StorageVersion } from '../cluster/storage-version.ts';

/** A resource whose objects are to lie in its storage version, and what its definition said when it was looked at. */
export interface StoredResource {
  /** Asked for in its storage version. */
  resource: Resource;
  /** Absent of a built-in resource: there is nothing to trim. */
  definition?: KnownDefinition;
}

export type KnownDefinition = Pick<Definition, 'name' | 'uid' | 'generation' | 'storedVersions'> & {
  /** The versions that are served. */
  served: string[];
};

export function storedResource({ resource, definition }: StorageVersion): StoredResource {
  if (definition === undefined) return { resource };
  const { name, uid, generation, storedVersions, versions } = definition;
  const served = versions.filter((version) => version.served).map((version) => version.name);
  return { resource, definition: { name, uid, generation, storedVersions, served } };
}

/** The version of an apiVersion. */
export function versionIn(apiVersion: string): string {
  return apiVersion.slice(apiVersion.indexOf('/') + 1);
}

/** The stored versions that are to leave the definition. */
export function oldVersions({ resource, definition }: StoredResource): string[] {
  return (definition?.storedVersions ?? []).filter((version) => version !== versionIn(resource.apiVersion));
}

/** What of a definition's stored versions from before has left them, and whether its spec still has it. */
export function missingVersions(
  before: readonly string[],
  { storedVersions, versions }: Pick<Definition, 'storedVersions' | 'versions'>,
): { known: string[]; unknown: string[] } {
  const missing = before.filter((version) => !storedVersions.includes(version));
  const isKnown = (version: string): boolean => versions.some(({ name }) => name === version);
  return { known: missing.filter(isKnown), unknown: missing.filter((version) => !isKnown(version)) };
}

/** The old versions in which objects can be asked for, as apiVersions: what they say in them must outlive the rewriting. */
export function comparable({ resource, definition }: StoredResource): string[] {
  const group = resource.apiVersion.split('/')[0] ?? '';
  return oldVersions({ resource, ...(definition === undefined ? {} : { definition }) })
    .filter((version) => definition?.served.includes(version))
    .map((version) => `${group}/${version}`);
}

/** The resource in each version that is served: what isn't stored so is converted when it is read. */
export function inEachVersion({ resource, definition }: StoredResource): Resource[] {
  if (definition === undefined) return [resource];
  const group = resource.apiVersion.split('/')[0] ?? '';
  return definition.served.map((version) => ({
    ...resource,
    apiVersion: `${group}/${version}`,
    apiPath: `/apis/${group}/${version}`,
  }));
}

/** How the API servers that don't store the wanted version differ, in words. */
export function dissenters(
  { resource }: Pick<StoredResource, 'resource'>,
  servers: readonly ServerStorage[],
): string[] {
  return servers.flatMap(({ name, apiVersion, silent }) =>
    apiVersion === resource.apiVersion
      ? []
      : [`${name} ${apiVersion === undefined ? (silent ?? '') : `stores ${resource.name} as ${apiVersion}`}`],
  );
}

/** What has become of a resource since it was looked at. */
export type Redefinition =
  | { kind: 'same' | 'redefined' }
  /** Not what was to be moved: a person has to look. */
  | { kind: 'other'; why: string };

export function redefinition(known: StoredResource, now: StoredResource): Redefinition {
  const { name, apiVersion } = known.resource;
  if (now.resource.apiVersion !== apiVersion) {
    return {
      kind: 'other',
      why: `${name} is stored as ${now.resource.apiVersion} now, not as ${apiVersion}`,
    };
  }
  if (known.definition?.uid !== now.definition?.uid)
    return { kind: 'other', why: `the definition of ${name} was deleted, and made anew` };
  return { kind: known.definition?.generation === now.definition?.generation ? 'same' : 'redefined' };
}
