import { describe, expect, it } from '@jest/globals';
import { MAX_REFUSALS, NOTHING } from '../src/plan/counts.ts';
import { bounded } from '../src/plan/preflight.ts';
import { withSample } from '../src/plan/progress.ts';
import { MAX_SHARDS } from '../src/plan/shards.ts';
import { initial } from '../src/plan/state.ts';
import { addReads, addTally, emptyTally, NO_READS, type CensusTally } from '../src/plan/tally.ts';
import { MAX_WAIVERS } from '../src/plan/waivers.ts';
import { clipped, MAX_WORDS } from '../src/plan/words.ts';
import { MAX_API_SERVERS, MAX_RESOURCES } from '../src/spec/migration.ts';
import { MAX_EVIDENCE } from './rewrite-natively.ts';
import { MAX_STALLED, MAX_TIMELINE } from './run.ts';
import type { MigrationState, ReadsResult } from './types.ts';

const KIB = 1024;

/** How large a cluster's names are, how many of each thing there are, and how much is said of it. */
interface Cluster {
  servers: number;
  resources: number;
  names: { resource: number; namespace: number; name: number };
  words: number;
  /** Distinct key ids; without end in the worst case. */
  keyIds: number;
}

/** The largest state that the bounds leave to a migration of endless trouble. */
function stateOf({ servers, resources, names, words, keyIds }: Cluster): MigrationState {
  const many = <T>(count: number, make: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => make(i));
  const text = (length: number): string => 'x'.repeat(length);
  const word = (i: number, length: number): string => String(i).padEnd(length, 'x');
  const object = (i: number) => ({
    resource: text(names.resource),
    namespace: text(names.namespace),
    name: word(i, names.name),
  });
  const key = text('/registry/'.length + names.resource + names.namespace + names.name + 2);
  const own = <T>(value: T): Record<string, T> =>
    Object.fromEntries(many(servers, (i) => [word(i, names.namespace), value]));
  const sha = `sha256:${text(64)}`;
  const said = text(words);

  let tally: CensusTally = emptyTally();
  for (let chunk = 0; chunk < 20; chunk += 1) {
    tally = addTally(tally, {
      ...emptyTally(),
      rows: many(Math.ceil(keyIds / 20), (i) => ({
        resource: text(names.resource),
        provider: 'kms v2',
        key: text(names.namespace),
        keyId: word(chunk * keyIds + i, 256),
        count: 1e6,
      })),
      outsideExamples: many(50, object),
      unknownExamples: many(50, object),
      representatives: many(250, object),
      escrow: { recipients: many(50, (i) => word(chunk * 50 + i, 62)), more: false },
    });
  }
  let reads: ReadsResult = NO_READS;
  for (let chunk = 0; chunk < 3; chunk += 1) {
    reads = addReads(reads, {
      read: 1e9,
      failed: 1e9,
      failures: many(50, (i) => ({
        ...object(i),
        apiServer: 'cp-1',
        status: 500,
        reason: said,
        remedy: said,
      })),
    });
  }
  let rate: MigrationState['rate'] = [];
  for (let i = 0; i < 1_000; i += 1) rate = withSample(rate, { at: 1e12 + i, done: 1e6 + i });
  const counts = { ...NOTHING, examined: 1e9, rewritten: 1e9 };
  return {
    id: text(70),
    seen: { ...initial(Object.keys(own(0)), 'Restart'), held: said },
    checks: bounded(many(1_000, (i) => ({ name: word(i, 60), outcome: 'fail', detail: said, remedy: said }))),
    resources: many(resources, (i) => ({
      name: word(i, names.resource),
      apiPath: text(names.resource),
      apiVersion: text(names.resource / 2),
      kind: text(names.resource / 4),
      plural: text(names.resource / 4),
      namespaced: true,
      etcdPrefix: text(names.resource + 12),
    })),
    canaryResources: many(resources, (i) => word(i, names.resource)),
    names: many(50, (i) => ({ type: 'aescbc', keyName: word(i, 63) })),
    hashes: own({ 'source-only': sha, 'target-reads': sha, 'target-writes': sha, 'target-only': sha }),
    loaded: own({ startedAt: 1e9, reloads: 1e6, identity: text(63) }),
    epoch: 1e6,
    restarted: own(sha),
    before: { ...tally, representatives: [] },
    census: { ...tally, representatives: [] },
    toRead: tally.representatives,
    censusRevision: 1e12,
    reads,
    shards: many(MAX_SHARDS + resources, () => ({
      start: key,
      end: key,
      cursor: key,
      objects: 1e9,
      resource: text(names.resource),
      done: false,
      counts,
      stalled: clipped(said, MAX_STALLED),
    })),
    passes: many(20, (pass) => ({ side: 'target', pass, counts })),
    native: many(Math.min(MAX_EVIDENCE, 2 * resources), (i) => ({
      name: text(Math.min(253, 90 + names.resource)),
      uid: text(36),
      apiVersion: text(40),
      resource: word(i, names.resource),
      side: 'target',
      outcome: 'Succeeded',
      why: clipped(said, MAX_STALLED),
      createdAt: text(24),
      endedAt: 1e12,
      resourceVersion: text(20),
      conditions: many(3, () => ({ type: text(10), status: 'True', reason: text(40), at: text(24) })),
      left: 1e9,
    })),
    refusals: many(MAX_REFUSALS, (i) => ({ ...object(i), status: 500, reason: said, remedy: said })),
    waivers: many(MAX_WAIVERS, (i) => ({
      ...object(i),
      actor: text(100),
      verified: true,
      reason: said,
      at: 1e12,
      proof: { key, modRevision: 1e12, found: said },
    })),
    rewrittenAt: 1e12,
    soakUntil: 1e12,
    waiting: { for: said, since: 1e12 },
    stopping: false,
    rate,
    timeline: many(MAX_TIMELINE, () => ({
      at: 1e12,
      actor: text(100),
      verified: true,
      what: text(60),
      reason: said,
    })),
    startedAt: 1e12,
  };
}

const sizeOf = (cluster: Cluster): number => Buffer.byteLength(JSON.stringify(stateOf(cluster)));

describe('what one run of a migration hands to the next', () => {
  it('fits into a payload of Temporal (2 MiB), whatever there is of everything and however long its names are', () => {
    const longest = { resource: 253, namespace: 63, name: 253 };
    const cluster = { servers: MAX_API_SERVERS, resources: MAX_RESOURCES, names: longest, keyIds: 10_000 };
    expect(sizeOf({ ...cluster, words: MAX_WORDS })).toBeLessThan(2 * 1024 * KIB);
  });

  it('is a quarter of that with all lists full, and names and words of a usual length', () => {
    const usual = { resource: 12, namespace: 20, name: 40 };
    expect(sizeOf({ servers: 5, resources: 10, names: usual, words: 120, keyIds: 200 })).toBeLessThan(
      512 * KIB,
    );
  });
});
