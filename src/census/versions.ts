import { endOfPrefix, type EtcdClient, type EtcdEntry } from '../cluster/etcd.ts';
import { objectOf, type Resource } from '../cluster/resources.ts';
import { MAX_EXAMPLES } from '../plan/tally.ts';
import { addVersions, NO_VERSIONS, UNTOLD, type VersionTally } from '../plan/version-tally.ts';
import { apiVersionAtRest } from './at-rest.ts';
import { pagesOf } from './pages.ts';

export interface VersionsPart {
  tally: VersionTally;
  /** Where to go on; undefined once the resource is at its end. */
  cursor: string | undefined;
}

/** Opens a value where it is sealed and the keys are at hand; answers with the value itself where they aren't. */
export type Opener = (entry: EtcdEntry) => Promise<Buffer>;

/**
 * Counts in which version the objects of one resource lie in etcd, from a cursor on. Current is what lies in the version that
 * `resource` is asked for in: its storage version.
 *
 * @param options - `timeMs`: milliseconds after which no new page is begun; `sinceRevision`: only objects written at this
 * revision of etcd or later; `onProgress`: called after each page
 */
export async function countVersions(
  etcd: EtcdClient,
  resource: Resource,
  cursor: string | undefined,
  options: {
    timeMs: number;
    sinceRevision?: number;
    open: Opener;
    signal: AbortSignal;
    onProgress: (objects: number) => void;
  },
): Promise<VersionsPart> {
  const deadline = Date.now() + options.timeMs;
  const start = cursor ?? resource.etcdPrefix;
  const end = endOfPrefix(resource.etcdPrefix);
  let tally = NO_VERSIONS;
  for await (const page of pagesOf(etcd, start, end, options.sinceRevision)) {
    const versions = await Promise.all(
      page.entries.map(async (entry) => {
        const value = await options.open(entry);
        const version = apiVersionAtRest(value);
        // It may be an object that lies encrypted.
        value.fill(0);
        return version;
      }),
    );
    tally = addVersions(tally, pageTally(resource, page.entries, versions, page.revision));
    options.onProgress(tally.objects);
    if (options.signal.aborted || Date.now() >= deadline) return { tally, cursor: page.next };
  }
  return { tally, cursor: undefined };
}

function pageTally(
  resource: Resource,
  entries: readonly EtcdEntry[],
  versions: readonly string[],
  revision: number,
): VersionTally {
  const untold: readonly string[] = Object.values(UNTOLD);
  const counts = new Map<string, number>();
  for (const version of versions) counts.set(version, (counts.get(version) ?? 0) + 1);
  const named = (fits: (version: string) => boolean) =>
    entries.flatMap((entry, i) =>
      fits(versions[i] ?? '') ? [{ resource: resource.name, ...objectOf(resource, entry.key) }] : [],
    );
  const isOutdated = (version: string): boolean =>
    version !== resource.apiVersion && !untold.includes(version);
  const outdated = named(isOutdated);
  const silent = named((version) => untold.includes(version));
  return {
    rows: [...counts].map(([apiVersion, count]) => ({ resource: resource.name, apiVersion, count })),
    objects: entries.length,
    outdated: outdated.length,
    untold: silent.length,
    outdatedExamples: outdated.slice(0, MAX_EXAMPLES),
    untoldExamples: silent.slice(0, MAX_EXAMPLES),
    revision,
  };
}
