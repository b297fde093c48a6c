import type { ApiServer } from '../cluster/api-server.ts';
import { endOfPrefix, type EtcdClient } from '../cluster/etcd.ts';
import type { Resource } from '../cluster/resources.ts';
import type { ProviderRef } from '../encryption-config/types.ts';
import { parseHeader, type CompiledNames } from '../envelope/header.ts';
import type { EnvelopeHeader, EnvelopeTarget } from '../envelope/types.ts';
import type { FormatSample } from '../plan/format-sample.ts';
import type { SealBytes } from '../plan/seal-bytes.ts';
import { refText } from '../plan/sides.ts';
import {
  addReads,
  NO_READS,
  readEvery,
  type CensusRow,
  type ObjectName,
  type ReadFailure,
} from '../plan/tally.ts';
import { countFrom } from './count.ts';
import { growthOf } from './growth.ts';
import { readFrom, readObjects } from './reads.ts';

/** What a quick count of all objects of some resources shows: a census with an end to its patience. */
export interface QuickCount {
  rows: CensusRow[];
  objects: number;
  /** Bytes of all objects' keys and values; where time ran out, worked out from those that were counted. */
  bytes: number;
  /** How many objects are outside the target, and how many bytes more each will have in it, on average. */
  outside: number;
  growth: number;
  /** How many objects each resource has, and one of each sealing that was met. */
  resources: { resource: Resource; objects: number; representatives: ObjectName[] }[];
}

/** What came of reading some objects through each API server. */
export interface SampleReads {
  /** Objects read, each counted once per API server. */
  read: number;
  failures: UnreadObject[];
  /** Reads that failed beyond those that `failures` has room for. */
  moreFailures: number;
}

export interface UnreadObject extends ReadFailure {
  /** What it lies under in etcd: `kms v2 vault, key id …`. */
  under: string;
  /** The provider that it lies under: `kms vault`, `aescbc key1`. */
  provider?: string;
}

/**
 * Counts what objects lie under in etcd.
 *
 * @param options - `sealBytes`: what plugins add to each value, where it is known; `timeMs`: milliseconds for all of it
 */
export async function quickCount(
  etcd: EtcdClient,
  resources: readonly Resource[],
  target: EnvelopeTarget,
  names: CompiledNames,
  options: { source: ProviderRef; sealBytes: SealBytes; timeMs: number; signal: AbortSignal },
): Promise<QuickCount> {
  const whole: QuickCount = { rows: [], objects: 0, bytes: 0, outside: 0, growth: 0, resources: [] };
  for (const resource of resources) {
    const { count } = await etcd.count(resource.etcdPrefix, endOfPrefix(resource.etcdPrefix));
    const { tally, bytes, cursor } = await countFrom(etcd, resource, undefined, target, names, {
      timeMs: options.timeMs / resources.length,
      signal: options.signal,
      onProgress: () => undefined,
    });
    const complete = cursor === undefined;
    const own = complete ? tally.objects : count;
    whole.rows.push(...tally.rows);
    whole.objects += own;
    whole.bytes += complete ? bytes : Math.round((bytes / Math.max(1, tally.objects)) * count);
    const part = (tally.objects - tally.inTarget) / Math.max(1, tally.objects);
    whole.outside += Math.round(own * part);
    whole.resources.push({ resource, objects: own, representatives: tally.representatives });
  }
  whole.growth = growthOf(whole.rows, target, options);
  return whole;
}

/**
 * How many objects of a resource are in the target's format; where time runs out, worked out from the first of them.
 *
 * @param options - `timeMs`: milliseconds after which no new page is begun
 */
export async function sampleFormat(
  etcd: EtcdClient,
  resource: Resource,
  target: EnvelopeTarget,
  names: CompiledNames,
  options: { timeMs: number; signal: AbortSignal },
): Promise<FormatSample> {
  const began = Date.now();
  const { tally, cursor } = await countFrom(etcd, resource, undefined, target, names, {
    ...options,
    onProgress: () => undefined,
  });
  const exact = cursor === undefined;
  const objects = exact
    ? tally.objects
    : (await etcd.count(resource.etcdPrefix, endOfPrefix(resource.etcdPrefix))).count;
  const inTarget = Math.round((tally.inTarget / Math.max(1, tally.objects)) * objects);
  return { objects, inTarget, exact, revision: tally.revision, tookMs: Date.now() - began };
}

/**
 * Reads one object of each sealing and a sample of all through each API server, and looks up what those lie under that
 * can't be read.
 *
 * @param options - `sampleSize`: about so many objects of each resource; `timeMs`: milliseconds for the samples
 */
export async function readSample(
  etcd: EtcdClient,
  servers: readonly ApiServer[],
  { resources }: QuickCount,
  names: CompiledNames,
  options: { sampleSize: number; timeMs: number; signal: AbortSignal },
): Promise<SampleReads> {
  const whole: SampleReads = { read: 0, failures: [], moreFailures: 0 };
  const { sampleSize, signal } = options;
  for (const { resource, objects, representatives } of resources) {
    const { stopped: _stopped, ...first } = await readObjects(
      servers,
      resource,
      representatives,
      signal,
      () => undefined,
    );
    const every = readEvery({ reads: 'Sample', sampleSize }, objects);
    const sample =
      every === 0
        ? NO_READS
        : (
            await readFrom(etcd, servers, resource, undefined, {
              every,
              timeMs: options.timeMs / resources.length,
              waived: new Map(),
              signal,
              onProgress: () => undefined,
            })
          ).tally;
    const { read, failed, failures } = addReads(first, sample);
    whole.read += read;
    whole.moreFailures += failed - failures.length;
    for (const failure of failures) {
      whole.failures.push({ ...failure, ...(await lying(etcd, resource, failure, names)) });
    }
  }
  return whole;
}

/** What an object lies under, as etcd has it now. */
async function lying(
  etcd: EtcdClient,
  resource: Resource,
  object: ObjectName,
  names: CompiledNames,
): Promise<Pick<UnreadObject, 'under' | 'provider'>> {
  const place = object.namespace === undefined ? '' : `${object.namespace}/`;
  const entry = await etcd.get(`${resource.etcdPrefix}${place}${object.name}`);
  if (entry === undefined) return { under: 'nothing any more: it was deleted' };
  const header = parseHeader(entry.value, names);
  const ref = refOf(header);
  return { under: words(header), ...(ref === undefined ? {} : { provider: refText(ref) }) };
}

function refOf(header: EnvelopeHeader): ProviderRef | undefined {
  switch (header.provider) {
    case 'identity':
    case 'unknown':
      return undefined;
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { type: header.provider, keyName: header.keyName };
    case 'kms':
      return header.version === 'v2' ? { type: 'kms', name: header.name } : undefined;
  }
}

function words(header: EnvelopeHeader): string {
  switch (header.provider) {
    case 'identity':
      return 'no encryption';
    case 'unknown':
      return `a format that isn't known (${header.reason})`;
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return `${header.provider} ${header.keyName}`;
    case 'kms':
      return header.version === 'v1' ? `kms v1 ${header.name}` : `kms ${header.name}, key id ${header.keyId}`;
  }
}
