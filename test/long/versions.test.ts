import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { pinnedVersion, previousApiServer, serverModules } from '../../lab/server-modules.ts';
import { findServer } from '../../lab/servers.ts';
import { type Progress } from '../../src/plan/progress.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { type TimelineEntry } from '../../workflows/types.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { TARGET_FORMAT } from '../support/etcd.ts';
import { restartAs } from '../support/own-server.ts';
import { expectAllUnder, expectNothingLost, expectReadable } from '../support/whole.ts';

jest.setTimeout(900_000);

const OBJECTS = 1_000;
const PRESENT = minorOf(pinnedVersion(serverModules['kube-apiserver']));
const PREVIOUS = minorOf(pinnedVersion(previousApiServer));

describe.each(['APIServer', 'Etcd'])(
  'a migration by the engine %s over API servers of two versions',
  (engine) => {
    const cleanUp = new CleanUp();
    let plane: ControlPlane;
    let journal: Journal;
    let report: MigrationReport;
    let timeline: TimelineEntry[];
    let versions: Record<string, string>[];
    /** Where the rewriting stood around each change of a version. */
    const around: Progress[] = [];

    async function versionsNow(): Promise<Record<string, string>> {
      const told = plane.lab.nodes.map(async (node) => {
        const { major, minor } = JSON.parse((await plane.ask(node, 'GET', '/version')).text) as {
          major: string;
          minor: string;
        };
        return [node, `${major}.${minor}`] as const;
      });
      return Object.fromEntries(await Promise.all(told));
    }

    beforeAll(async () => {
      const previous = await findServer(previousApiServer, (line) => process.stderr.write(`${line}\n`));
      plane = cleanUp.keep(
        await ControlPlane.up({ seed: { secrets: OBJECTS - 100, configMaps: 100 } }),
        (up) => up.down(),
      );
      await restartAs(plane.lab.dir, 'cp-2', { binary: previous });
      versions = [await versionsNow()];
      journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 20, writers: 2 }), (one) => one.stop());
      const migration = await plane.start({
        spec: { engine, pace: { objectsPerSecond: 25, concurrency: 4, shards: 2 }, verify: { reads: 'All' } },
      });
      const rewritten = async (part: number): Promise<void> => {
        around.push(
          await migration.until(`${part} of the objects`, (seen) => seen.rewrite.done > part * OBJECTS),
        );
      };
      await rewritten(0.15);
      await restartAs(plane.lab.dir, 'cp-2');
      versions.push(await versionsNow());
      await rewritten(0.45);
      await restartAs(plane.lab.dir, 'cp-1', { binary: previous });
      versions.push(await versionsNow());
      await rewritten(0.7);
      report = await migration.finish();
      timeline = report.timeline;
      await journal.stop();
    });

    afterAll(() => cleanUp.run());

    test('one is upgraded and the other downgraded, both amid rewriting', () => {
      expect(versions).toEqual([
        { 'cp-1': PRESENT, 'cp-2': PREVIOUS },
        { 'cp-1': PRESENT, 'cp-2': PRESENT },
        { 'cp-1': PREVIOUS, 'cp-2': PRESENT },
      ]);
      expect(around.map(({ phase, rewrite }) => ({ phase, ended: rewrite.done >= OBJECTS }))).toEqual(
        around.map(() => ({ phase: 'rewrite', ended: false })),
      );
    });

    test('preflight says which versions there are', () => {
      const check = report.checks.find(({ name }) => name === 'versions of the API servers');
      expect(check).toMatchObject({ outcome: 'pass', detail: expect.stringContaining(PREVIOUS) });
      expect(check?.detail).toContain(PRESENT);
    });

    test('each that came back was proven anew, by canaries that the other reads too', () => {
      for (const node of plane.lab.nodes) {
        expect(timeline).toContainEqual(expect.objectContaining({ what: `${node} changed` }));
      }
    });

    test('it completes, and every object was read through both', () => {
      expect(report.outcome).toBe('completed');
      expect(report.refusals).toEqual([]);
      expect(report.reads).toMatchObject({ failed: 0 });
      expect(report.reads?.read).toBeGreaterThanOrEqual(2 * OBJECTS);
      expect(report.after?.inTarget).toBe(report.after?.objects);
    });

    test('every object has the content it had, through each of the two', async () => {
      await expectAllUnder(plane, TARGET_FORMAT);
      await expectReadable(plane, OBJECTS);
    });

    test('a client that wrote through both all the while lost nothing', async () => {
      await expectNothingLost(journal);
    });
  },
);

function minorOf(version: string): string {
  return version.split('.', 2).join('.');
}
