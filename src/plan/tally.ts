import type { Explanation } from '../cluster/refusal.ts';
import type { EnvelopeTarget } from '../envelope/types.ts';
import { baseKeyId } from './generation.ts';

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
  /** DEKs met beyond those that `representatives` can hold. */
  moreDeks: number;
  /** etcd's revision when the first page was read. */
  revision: number;
  /** Who opens values without their key service; absent in a census of a version that didn't look. */
  escrow?: EscrowTally;
}

/** Offline recipients that values are sealed to as well, as the values themselves name them: nothing was opened. */
export interface EscrowTally {
  /** age recipients in the order of their letters, {@link MAX_RECIPIENTS} at most; {@link UNNAMED} for one that isn't named. */
  recipients: string[];
  /** Whether there are others than `recipients` has room for. */
  more: boolean;
}

export const MAX_EXAMPLES = 50;
export const MAX_REPRESENTATIVES = 250;
export const MAX_RECIPIENTS = 32;
/** In the place of a recipient, where a value has an escrow and doesn't say whose. */
export const UNNAMED = 'unnamed';
/** Rows that tell keys and key ids apart. */
export const MAX_ROWS = 100;

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
    moreDeks: 0,
    revision: 0,
  };
}

/** Adds a part to a whole. */
export function addTally(whole: CensusTally, part: CensusTally): CensusTally {
  const rows: CensusRows = new Map();
  for (const row of [...whole.rows, ...part.rows]) addRow(rows, row);
  const representatives = [...whole.representatives, ...part.representatives];
  const escrow = addEscrow(whole.escrow, part.escrow);
  return {
    rows: [...rows.values()],
    objects: whole.objects + part.objects,
    inTarget: whole.inTarget + part.inTarget,
    unknown: whole.unknown + part.unknown,
    waived: whole.waived + part.waived,
    outsideExamples: [...whole.outsideExamples, ...part.outsideExamples].slice(0, MAX_EXAMPLES),
    unknownExamples: [...whole.unknownExamples, ...part.unknownExamples].slice(0, MAX_EXAMPLES),
    representatives: representatives.slice(0, MAX_REPRESENTATIVES),
    moreDeks: whole.moreDeks + part.moreDeks + Math.max(0, representatives.length - MAX_REPRESENTATIVES),
    revision: whole.revision === 0 ? part.revision : whole.revision,
    ...(escrow === undefined ? {} : { escrow }),
  };
}

/** Adds what one part found to another's; `undefined` only where neither looked. */
export function addEscrow(
  whole: EscrowTally | undefined,
  part: EscrowTally | undefined,
): EscrowTally | undefined {
  if (whole === undefined || part === undefined) return whole ?? part;
  const recipients = [...new Set([...whole.recipients, ...part.recipients])].sort();
  return {
    recipients: recipients.slice(0, MAX_RECIPIENTS),
    more: whole.more || part.more || recipients.length > MAX_RECIPIENTS,
  };
}

/**
 * How many objects of one resource a census found where they shall not be. Where kinds were too many to be told apart, those
 * count that may be.
 *
 * @param goal - where they shall be: under the target, or anywhere else
 */
export function leftIn(
  { rows }: CensusTally,
  resource: string,
  target: EnvelopeTarget,
  goal: 'source' | 'target',
): number {
  const outside = (row: CensusRow): boolean =>
    row.provider !== 'unknown' && isUnder(row, target) === (goal === 'source');
  return rows.reduce((sum, row) => sum + (row.resource === resource && outside(row) ? row.count : 0), 0);
}

/** Whether the target sealed these. A kms target with a key id has every generation of it: what came back after it was left. */
export function isUnder({ provider, key, keyId }: CensusRow, target: EnvelopeTarget): boolean {
  switch (target.type) {
    case 'identity':
      return provider === 'identity';
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return provider === target.type && key === target.keyName;
    case 'kms':
      if (provider !== 'kms v2' || key !== target.name) return false;
      if (target.keyId === undefined) return true;
      return keyId !== undefined && [keyId, baseKeyId(keyId)].includes(target.keyId);
  }
}

export type CensusRows = Map<string, CensusRow>;

/** Adds to the row of the same kind. Kinds may be without number: beyond `MAX_ROWS`, keys are counted together by provider. */
export function addRow(rows: CensusRows, { count, ...kind }: CensusRow): void {
  const own = rowId(kind);
  const { resource, provider } = kind;
  const row = rows.has(own) || rows.size < MAX_ROWS ? kind : { resource, provider };
  const id = rowId(row);
  rows.set(id, { ...row, count: (rows.get(id)?.count ?? 0) + count });
}

export function rowId(row: Omit<CensusRow, 'count'>): string {
  return JSON.stringify([row.resource, row.provider, row.key, row.keyId]);
}

/** An object that an API server could not read, and what it answered. */
export interface ReadFailure extends ObjectName, Explanation {
  apiServer: string;
  status: number;
}

/** What came of reading objects through API servers; the first failures by name. */
export interface ReadsTally {
  /** Objects read, each counted once per API server. */
  read: number;
  failed: number;
  failures: ReadFailure[];
}

export const NO_READS: ReadsTally = { read: 0, failed: 0, failures: [] };

/** One object of how many is read beyond one of each kind of sealing: 1 for all, 0 for none. */
export function readEvery(
  { reads, sampleSize }: { reads: 'Sample' | 'All'; sampleSize: number },
  objects: number,
): number {
  if (reads === 'All') return 1;
  return sampleSize === 0 ? 0 : Math.max(1, Math.ceil(objects / sampleSize));
}

export function addReads(whole: ReadsTally, part: ReadsTally): ReadsTally {
  return {
    read: whole.read + part.read,
    failed: whole.failed + part.failed,
    failures: [...whole.failures, ...part.failures].slice(0, MAX_EXAMPLES),
  };
}
