import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Journal } from '../../lab/journal.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { migratedValues, type StoredValue } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(300_000);

const JOURNAL = 'journal-1';

describe('a paused migration', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;

  /** What was written last of everything that is migrated, the journal's own namespace aside. */
  async function written(): Promise<Map<string, number>> {
    const theirs = ({ key }: StoredValue): boolean => !key.includes(`/${JOURNAL}/`);
    return new Map((await migratedValues(plane.lab)).filter(theirs).map((one) => [one.key, one.modRevision]));
  }

  /** How much etcd has been written since, by anybody; the journal keeps it going. */
  async function untilWritesOfTheJournal(journal: Journal, more: number): Promise<void> {
    const enough = journal.progress().writes + more;
    const deadline = Date.now() + 60_000;
    while (journal.progress().writes < enough) {
      if (Date.now() > deadline) throw new Error('the journal is stuck');
      await sleep(50);
    }
  }

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ seed: { secrets: 400, configMaps: 50 } }), (up) =>
      up.down(),
    );
  });

  afterAll(() => cleanUp.run());

  test('in converge it reads "paused" once the restart under way has ended, and no file moves any more', async () => {
    migration = await plane.start({ spec: { pace: { objectsPerSecond: 10, concurrency: 4, shards: 2 } } });
    await migration.until('the first server to restart', ({ waitingFor }) =>
      waitingFor.includes('to restart'),
    );
    const acknowledged = await migration.order('pause');
    expect(acknowledged.waitingFor).toBe('every writer to answer');

    const { phase } = await migration.until('the pause to hold', ({ state }) => state === 'paused');
    expect(phase).toBe('stage');
    const files = plane.configurations();
    const pids = plane.lab.nodes.map((node) => plane.lab.pid(`${node}.apiserver`));
    const journal = cleanUp.keep(await Journal.start(plane.lab, { namespace: JOURNAL }), (one) => one.stop());
    await untilWritesOfTheJournal(journal, 100);
    await journal.stop();
    expect(plane.configurations()).toEqual(files);
    expect(plane.lab.nodes.map((node) => plane.lab.pid(`${node}.apiserver`))).toEqual(pids);

    await migration.order('resume');
    await migration.untilPhase('promote');
  });

  test('a cutover that is approved before its time is refused with the reason', async () => {
    const answer = await migration.tell('approve cutover');
    expect(answer.code).toBe(77);
    expect(answer.stderr).toMatch(
      /cutover can't be approved in phase promote: every API server reads the target/,
    );
  });

  test('a second migration of the same cluster is refused, and told by name', async () => {
    const answer = await plane.cli(['start', '-f', plane.document({ name: 'another' })]);
    expect(answer.code).toBe(77);
    expect(answer.stderr).toContain(`this cluster is being migrated already, as ${migration.workflowId}`);
    expect(answer.stderr).toContain('what to do:');
  });

  test('in rewrite it is "pausing" until every writer has answered, and nothing is written while it is paused', async () => {
    const journal = cleanUp.keep(await Journal.start(plane.lab, { namespace: JOURNAL }), (one) => one.stop());
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > 50);
    await migration.order('pause');
    const paused = await migration.until('the pause to hold', ({ state }) => state === 'paused');
    expect(paused.phase).toBe('rewrite');
    const timeline = await migration.timeline();
    expect(timeline.at(-1)?.what).toBe('stands still: every writer has answered');

    const before = await written();
    // Three times as much as the rewriting would have made of it.
    await untilWritesOfTheJournal(journal, 200);
    expect(await written()).toEqual(before);

    const { rewrite } = await migration.progress();
    expect(rewrite.done).toBeLessThan(rewrite.of);
    expect(rewrite.done).toBe(paused.rewrite.done);
    await journal.stop();
    const { lost, unreadable } = await journal.check();
    expect({ lost, unreadable }).toEqual({ lost: [], unreadable: [] });
  });

  test('a pause of what is paused already is refused, and so is a resume of what is not', async () => {
    const second = await migration.tell('pause');
    expect(second.code).toBe(77);
    expect(second.stderr).toContain('it stands still already: paused by tester: a test');
    await migration.order('resume');
    const resumed = await migration.tell('resume');
    expect(resumed.code).toBe(77);
    expect(resumed.stderr).toContain('it is not paused');
  });

  test('resumed, it goes on where it was, and writes no object twice', async () => {
    await migration.untilPhase('soak', 'waiting');
    const seeded = (await migratedValues(plane.lab)).filter(({ key }) => key.includes('/seed-'));
    expect(seeded.filter(({ version }) => version !== 2).map(({ key }) => key)).toEqual([]);
  });
});
