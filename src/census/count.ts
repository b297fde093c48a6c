import type { EtcdClient, EtcdEntry } from '../cluster/etcd.ts';
import { endOfPrefix } from '../cluster/etcd.ts';
import { objectOf, type Resource } from '../cluster/resources.ts';
import { parseHeader, type CompiledNames } from '../envelope/header.ts';
import { decodeKmsV2 } from '../envelope/kms-v2.ts';
import { isOutside } from '../envelope/staleness.ts';
import type { EnvelopeHeader, EnvelopeTarget } from '../envelope/types.ts';
import { pagesOf } from './pages.ts';
import { escrowRecipients } from '../keys/escrow-recipients.ts';
import { annotationNames } from '../keys/local-kek.ts';
import {
  addEscrow,
  addRow,
  emptyTally,
  MAX_EXAMPLES,
  MAX_REPRESENTATIVES,
  rowId,
  UNNAMED,
  type CensusRow,
  type CensusRows,
  type CensusTally,
  type ObjectName,
} from '../plan/tally.ts';

export interface CensusPart {
  tally: CensusTally;
  /** Bytes of the keys and values that were counted. */
  bytes: number;
  /** Where to go on; undefined once the resource is at its end. */
  cursor: string | undefined;
}

/**
 * Counts what the objects of one resource are encrypted with, as etcd has them, from a cursor on.
 *
 * @param options - `timeMs`: milliseconds after which no new page is begun; `sinceRevision`: only objects written at this
 * revision of etcd or later; `waived`: by key, the revision of values that are counted apart; `onProgress`: called after
 * each page
 */
export async function countFrom(
  etcd: EtcdClient,
  resource: Resource,
  cursor: string | undefined,
  target: EnvelopeTarget,
  names: CompiledNames,
  options: {
    timeMs: number;
    sinceRevision?: number;
    waived?: ReadonlyMap<string, number>;
    signal: AbortSignal;
    onProgress: (objects: number) => void;
  },
): Promise<CensusPart> {
  const deadline = Date.now() + options.timeMs;
  const { sinceRevision } = options;
  const start = cursor ?? resource.etcdPrefix;
  const end = endOfPrefix(resource.etcdPrefix);
  const counter = new Counter(resource, target, names, options.waived);
  for await (const page of pagesOf(etcd, start, end, sinceRevision)) {
    counter.add(page.entries, page.revision);
    options.onProgress(counter.tally.objects);
    if (options.signal.aborted || Date.now() >= deadline) {
      return { tally: counter.finish(), bytes: counter.bytes, cursor: page.next };
    }
  }
  return { tally: counter.finish(), bytes: counter.bytes, cursor: undefined };
}

class Counter {
  readonly tally: CensusTally = { ...emptyTally(), escrow: { recipients: [], more: false } };
  bytes = 0;
  readonly #resource: Resource;
  readonly #target: EnvelopeTarget;
  readonly #names: CompiledNames;
  readonly #waived: ReadonlyMap<string, number> | undefined;
  readonly #rows: CensusRows = new Map();
  readonly #deks = new Set<string>();

  constructor(
    resource: Resource,
    target: EnvelopeTarget,
    names: CompiledNames,
    waived: ReadonlyMap<string, number> | undefined,
  ) {
    this.#resource = resource;
    this.#target = target;
    this.#names = names;
    this.#waived = waived;
  }

  add(entries: readonly EtcdEntry[], revision: number): void {
    if (this.tally.revision === 0) this.tally.revision = revision;
    for (const entry of entries) this.#one(entry);
  }

  finish(): CensusTally {
    this.tally.rows = [...this.#rows.values()];
    return this.tally;
  }

  #one(entry: EtcdEntry): void {
    const { tally } = this;
    if (this.#waived?.get(entry.key) === entry.modRevision) {
      tally.waived += 1;
      return;
    }
    const header = parseHeader(entry.value, this.#names);
    const name = (): ObjectName => ({
      resource: this.#resource.name,
      ...objectOf(this.#resource, entry.key),
    });
    tally.objects += 1;
    this.bytes += entry.key.length + entry.value.length;
    const row = { resource: this.#resource.name, ...rowOf(header) };
    const id = rowId(row);
    addRow(this.#rows, { ...row, count: 1 });

    if (header.provider === 'unknown') {
      tally.unknown += 1;
      if (tally.unknownExamples.length < MAX_EXAMPLES) tally.unknownExamples.push(name());
    } else if (!isOutside(header, this.#target)) {
      tally.inTarget += 1;
    } else if (tally.outsideExamples.length < MAX_EXAMPLES) {
      tally.outsideExamples.push(name());
    }

    const dek = `${id}/${dekOf(header)}`;
    if (this.#deks.has(dek)) return;
    // Values of one DEK have its annotations: it was the plugin that answered both.
    if (hasEscrow(header)) this.#addEscrow(entry.value);
    if (this.#deks.size >= MAX_REPRESENTATIVES) {
      tally.moreDeks += 1;
      return;
    }
    this.#deks.add(dek);
    tally.representatives.push(name());
  }

  #addEscrow(value: Buffer): void {
    const named = escrowRecipients(annotationsOf(value));
    const escrow = addEscrow(this.tally.escrow, {
      recipients: named.length === 0 ? [UNNAMED] : named,
      more: false,
    });
    if (escrow !== undefined) this.tally.escrow = escrow;
  }
}

function hasEscrow(header: EnvelopeHeader): boolean {
  return (
    header.provider === 'kms' &&
    header.version === 'v2' &&
    header.annotations.includes(annotationNames.escrow)
  );
}

/** None where the value can't be taken apart, though its header can be read. */
function annotationsOf(value: Buffer): Readonly<Record<string, Buffer>> {
  try {
    return decodeKmsV2(value).annotations;
  } catch {
    return {};
  }
}

function rowOf(header: EnvelopeHeader): Omit<CensusRow, 'resource' | 'count'> {
  switch (header.provider) {
    case 'identity':
    case 'unknown':
      return { provider: header.provider };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { provider: header.provider, key: header.keyName };
    case 'kms':
      return header.version === 'v1'
        ? { provider: 'kms v1', key: header.name }
        : { provider: 'kms v2', key: header.name, keyId: header.keyId };
  }
}

function dekOf(header: EnvelopeHeader): string {
  return header.provider === 'kms' && header.version === 'v2' ? header.dekHash : '';
}
