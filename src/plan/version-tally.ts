import { MAX_EXAMPLES, MAX_ROWS, type ObjectName } from './tally.ts';

/** Values that lie in one version. */
export interface VersionRow {
  resource: string;
  /** `stable.example.com/v2`, as the value itself says; {@link UNTOLD} where it doesn't. */
  apiVersion: string;
  count: number;
}

/** What a census of versions, or a part of it, found. Names, versions and counts only. */
export interface VersionTally {
  rows: VersionRow[];
  objects: number;
  /** Objects that lie in another version than the one in which they are stored now. */
  outdated: number;
  /** Values that don't tell their version. */
  untold: number;
  outdatedExamples: ObjectName[];
  untoldExamples: ObjectName[];
  /** etcd's revision when the first page was read. */
  revision: number;
}

/** In the place of a version: the value is sealed and nobody could open it, or is nothing that API servers write. */
export const UNTOLD = { sealed: 'sealed', unknown: 'unknown' } as const;
/** In the place of a version, where values name more of them than are told apart. */
const OTHERS = 'others';

export const NO_VERSIONS: VersionTally = {
  rows: [],
  objects: 0,
  outdated: 0,
  untold: 0,
  outdatedExamples: [],
  untoldExamples: [],
  revision: 0,
};

/** Adds a part to a whole. */
export function addVersions(whole: VersionTally, part: VersionTally): VersionTally {
  return {
    rows: addVersionRows(whole.rows, part.rows),
    objects: whole.objects + part.objects,
    outdated: whole.outdated + part.outdated,
    untold: whole.untold + part.untold,
    outdatedExamples: [...whole.outdatedExamples, ...part.outdatedExamples].slice(0, MAX_EXAMPLES),
    untoldExamples: [...whole.untoldExamples, ...part.untoldExamples].slice(0, MAX_EXAMPLES),
    revision: whole.revision === 0 ? part.revision : whole.revision,
  };
}

/** How many objects of a resource lie in another version than the one given, or nobody can tell. */
export function outside({ rows }: VersionTally, resource: string, apiVersion: string): number {
  return rows
    .filter((row) => row.resource === resource && row.apiVersion !== apiVersion)
    .reduce((sum, { count }) => sum + count, 0);
}

/** How many of all objects of a resource lie where they shall, by those that were looked at. */
export function arrivedOf({ objects, outdated, untold }: VersionTally, all: number): number {
  return Math.round(((objects - outdated - untold) / Math.max(1, objects)) * all);
}

function addVersionRows(whole: readonly VersionRow[], part: readonly VersionRow[]): VersionRow[] {
  const rows = new Map<string, VersionRow>();
  for (const row of [...whole, ...part]) {
    const own = `${row.resource} ${row.apiVersion}`;
    const apiVersion = rows.has(own) || rows.size < MAX_ROWS ? row.apiVersion : OTHERS;
    const id = `${row.resource} ${apiVersion}`;
    rows.set(id, { ...row, apiVersion, count: (rows.get(id)?.count ?? 0) + row.count });
  }
  return [...rows.values()];
}
