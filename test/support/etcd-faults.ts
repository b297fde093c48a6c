import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { type Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { type Progress } from '../../src/plan/progress.ts';
import { type CensusTally } from '../../src/plan/tally.ts';
import { type MigrationSpec } from '../../src/spec/migration.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from './clean-up.ts';
import { jsonOf } from './cli.ts';
import { ControlPlane } from './control-plane.ts';
import {
  askEtcd,
  defragment,
  keepCompacting,
  leaderOf,
  migratedValues,
  moveLeader,
  TARGET_FORMAT,
  type Compacting,
} from './etcd.ts';
import { expectAllUnder, expectNothingLost, expectReadable } from './whole.ts';

const MEMBERS = ['etcd-1', 'etcd-2', 'etcd-3'];
const OBJECTS = 1_000;
const PACE = { objectsPerSecond: 40, concurrency: 8, shards: 2 };

/** What shows that a fault has struck. */
interface Seen {
  /** Who led before it and after it, where it changes that. */
  readonly led?: readonly [string, string];
  /** What came of a question meanwhile, where etcd answers none. */
  readonly unanswered?: unknown;
}

interface Fault {
  readonly what: string;
  /** Answers once it has struck; fails where it can't. */
  readonly strike: (lab: Lab) => Promise<Seen>;
}

const another = async (lab: Lab, than: string): Promise<string> =>
  await waitFor({ what: `another member than ${than} to lead`, timeoutMs: 60_000 }, async () => {
    const leader = await leaderOf(lab);
    return leader !== than && leader;
  });

/** In this order: the last one lasts through the rest of the rewriting, verify and cutover. */
const FAULTS: readonly Fault[] = [
  {
    what: 'its leader is moved',
    strike: async (lab) => {
      const before = await leaderOf(lab);
      await moveLeader(lab, MEMBERS.find((name) => name !== before) ?? '');
      return { led: [before, await another(lab, before)] };
    },
  },
  {
    what: 'its leader is killed, and comes back',
    strike: async (lab) => {
      const before = await leaderOf(lab);
      await lab.kill(before);
      const after = await another(lab, before);
      await lab.start(before);
      return { led: [before, after] };
    },
  },
  {
    what: 'all of its members are killed, and come back',
    strike: async (lab) => {
      await Promise.all(MEMBERS.map((name) => lab.kill(name)));
      const unanswered = await askEtcd(lab, '/v3/maintenance/status', {}).catch((error: unknown) => error);
      // None is ready before most of them are.
      await Promise.all(MEMBERS.map((name) => lab.start(name)));
      return { unanswered };
    },
  },
  {
    what: 'each of its members is defragmented',
    strike: async (lab) => {
      for (const member of MEMBERS) await defragment(lab, member);
      return {};
    },
  },
  {
    what: 'a member is lost for good',
    strike: async (lab) => {
      // The one that leads, so that it is missed at once.
      const before = await leaderOf(lab);
      await lab.kill(before);
      return { led: [before, await another(lab, before)] };
    },
  },
];

/** Tests that a migration goes on over every fault of an etcd of three members, and that each struck amid its rewriting. */
export function describeEtcdFaults(engine: MigrationSpec['engine']): void {
  jest.setTimeout(900_000);

  describe(`a migration by the engine ${engine} over an etcd of three members, compacted every two seconds`, () => {
    const cleanUp = new CleanUp();
    let plane: ControlPlane;
    let journal: Journal;
    let compacting: Compacting;
    let report: MigrationReport;
    /** By fault: where the rewriting stood right before it and right after it, and what it left to be seen. */
    const struck = new Map<string, { around: Progress[]; seen: Seen }>();
    const lost = () => MEMBERS.find((name) => plane.lab.pid(name) === undefined) ?? '';

    beforeAll(async () => {
      plane = cleanUp.keep(
        await ControlPlane.up({ etcdMembers: 3, seed: { secrets: OBJECTS - 100, configMaps: 100 } }),
        (up) => up.down(),
      );
      const { lab } = plane;
      journal = cleanUp.keep(await Journal.start(lab, { rate: 10, writers: 1 }), (one) => one.stop());
      compacting = cleanUp.keep(keepCompacting(lab, 2_000), (one) => one.stop());
      const migration = await plane.start({ spec: { engine, pace: PACE } });
      for (const [i, { what, strike }] of FAULTS.entries()) {
        const part = (i + 1) / (FAULTS.length + 2);
        const before = await migration.until(
          `${part.toFixed(2)} of the objects`,
          ({ rewrite }) => rewrite.done > part * OBJECTS,
        );
        const seen = await strike(lab);
        // Something is rewritten after it.
        const after = await migration.until(
          `more objects after ${what}`,
          ({ rewrite }) => rewrite.done > before.rewrite.done,
        );
        struck.set(what, { around: [before, after], seen });
      }
      report = await migration.finish();
      await compacting.stop();
      await journal.stop();
    });

    afterAll(() => cleanUp.run());

    test.each(FAULTS)('$what: amid rewriting, which goes on', ({ what }) => {
      const { around = [], seen = {} } = struck.get(what) ?? {};
      expect(around).toHaveLength(2);
      for (const { phase, state, rewrite } of around) {
        expect({ phase, state, ended: rewrite.done >= OBJECTS }).toEqual({
          phase: 'rewrite',
          state: 'running',
          ended: false,
        });
      }
      if (seen.led !== undefined) expect(seen.led[1]).not.toBe(seen.led[0]);
      if ('unanswered' in seen) {
        expect(String(seen.unanswered)).toContain('no member of etcd answered');
      }
    });

    test('it completes in one pass without the member that it lost', () => {
      expect(report.outcome).toBe('completed');
      expect(report.refusals).toEqual([]);
      expect(report.passes).toHaveLength(1);
      expect(plane.lab.pid(lost())).toBeUndefined();
      expect(compacting.times).toBeGreaterThan(10);
    });

    test('every value in etcd is in the format of the target', async () => {
      expect((await migratedValues(plane.lab)).length).toBeGreaterThanOrEqual(OBJECTS);
      await expectAllUnder(plane, TARGET_FORMAT);
    });

    test('a census counts every value that etcd has', async () => {
      const { objects, inTarget, unknown } = jsonOf(
        await plane.cli(['census', '-f', plane.document(), '--json']),
      ) as CensusTally;
      const there = (await migratedValues(plane.lab)).length;
      expect({ objects, inTarget, unknown }).toEqual({ objects: there, inTarget: there, unknown: 0 });
      expect(report.after?.inTarget).toBe(report.after?.objects);
      expect(report.after?.objects).toBeGreaterThanOrEqual(OBJECTS);
    });

    test('every object has the content it had, through each API server', async () => {
      await expectReadable(plane, OBJECTS);
    });

    test('a client that wrote all the while lost nothing', async () => {
      await expectNothingLost(journal);
    });

    test('the member comes back with what was written without it', async () => {
      await plane.lab.start(lost());
      await expectAllUnder(plane, TARGET_FORMAT);
    });
  });
}
