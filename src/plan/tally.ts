/** Objects of one resource under one provider and key. */
export interface CensusRow {
  resource: string;
  /** `identity`, `aescbc`, `aesgcm`, `secretbox`, `kms v1`, `kms v2` or `unknown`. */
  provider: string;
  /** The local key's name, or the kms entry's. */
  key?: string;
  /** The kms v2 key id. */
  keyId?: string;
  count: number;
}

/** An object by name; what a census says of it is in the list it stands in. */
export interface ObjectName {
  resource: string;
  namespace?: string;
  name: string;
}

/** What a census, or a part of it, found. Names, formats and counts only. */
export interface CensusTally {
  rows: CensusRow[];
  /** All objects but the waived ones. */
  objects: number;
  /** Objects in the target's format. */
  inTarget: number;
  /** Objects in a format that isn't known. */
  unknown: number;
  /** Values that nobody can read and a person waived; they stand in no other count. */
  waived: number;
  /** The first objects outside the target, and the first unknown ones. */
  outsideExamples: ObjectName[];
  unknownExamples: ObjectName[];
  /** One object of each provider, key, key id and DEK that was met, to be read afterwards. */
  representatives: ObjectName[];
  /** Objects taken at even distances, to be read afterwards as well. */
  sample: ObjectName[];
  /** DEKs met beyond those that `representatives` can hold. */
  moreDeks: number;
  /** etcd's revision when the first page was read. */
  revision: number;
}

export const MAX_EXAMPLES = 50;
export const MAX_REPRESENTATIVES = 1_000;
/** Names that a result may carry; who wants more reads all objects. */
export const MAX_SAMPLE = 5_000;

export function emptyTally(): CensusTally {
  return {
    rows: [],
    objects: 0,
    inTarget: 0,
    unknown: 0,
    waived: 0,
    outsideExamples: [],
    unknownExamples: [],
    representatives: [],
    sample: [],
    moreDeks: 0,
    revision: 0,
  };
}

/** Adds a part to a whole. */
export function addTally(whole: CensusTally, part: CensusTally): CensusTally {
  const rows = whole.rows.map((row) => ({ ...row }));
  for (const row of part.rows) {
    const same = rows.find((other) => rowId(other) === rowId(row));
    if (same === undefined) rows.push({ ...row });
    else same.count += row.count;
  }
  const representatives = [...whole.representatives, ...part.representatives];
  return {
    rows,
    objects: whole.objects + part.objects,
    inTarget: whole.inTarget + part.inTarget,
    unknown: whole.unknown + part.unknown,
    waived: whole.waived + part.waived,
    outsideExamples: [...whole.outsideExamples, ...part.outsideExamples].slice(0, MAX_EXAMPLES),
    unknownExamples: [...whole.unknownExamples, ...part.unknownExamples].slice(0, MAX_EXAMPLES),
    representatives: representatives.slice(0, MAX_REPRESENTATIVES),
    sample: [...whole.sample, ...part.sample].slice(0, MAX_SAMPLE),
    moreDeks: whole.moreDeks + part.moreDeks + Math.max(0, representatives.length - MAX_REPRESENTATIVES),
    revision: whole.revision === 0 ? part.revision : whole.revision,
  };
}

export function rowId(row: Omit<CensusRow, 'count'>): string {
  return JSON.stringify([row.resource, row.provider, row.key, row.keyId]);
}
