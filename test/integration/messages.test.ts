import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { temporalAddress } from '../../lab/temporal.ts';
import { findServer } from '../../lab/servers.ts';
import { CleanUp } from '../support/clean-up.ts';
import { run, type CliAnswer } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { SOURCE_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder } from '../support/whole.ts';

jest.setTimeout(300_000);

/** What somebody may type: nothing, a number, text, a list, fields that don't exist or are of another type. */
const JUNK = [
  undefined,
  '17',
  '"now"',
  '[1, 2]',
  'null',
  '{"gate": "sideways"}',
  '{"actor": {}}',
  '{"when": "now"}',
];
const MESSAGES = ['pause', 'resume', 'approve', 'rollback'];

describe("Temporal's own CLI drives a migration", () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;
  let program: string;

  /** `temporal workflow <verb> … --input <json>` */
  async function temporal(verb: string[], name: string, input?: string): Promise<CliAnswer> {
    return await run(program, [
      'workflow',
      ...verb,
      '--workflow-id',
      migration.workflowId,
      '--name',
      name,
      ...(input === undefined ? [] : ['--input', input]),
      '--address',
      temporalAddress(plane.lab.config),
    ]);
  }

  const signal = (name: string, input?: string): Promise<CliAnswer> => temporal(['signal'], name, input);
  const update = (name: string, input?: string): Promise<CliAnswer> =>
    temporal(['update', 'execute'], name, input);
  const query = (name: string): Promise<CliAnswer> => temporal(['query'], name);

  async function pastTimeline(): Promise<
    { actor: string; verified: boolean; what: string; reason?: string }[]
  > {
    return await migration.timeline();
  }

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 1, seed: { secrets: 200, configMaps: 20 } }),
      (up) => up.down(),
    );
    program = await findServer('temporal', () => undefined);
    migration = await plane.start({ spec: { pace: { objectsPerSecond: 10, concurrency: 4, shards: 1 } } });
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > 10);
  });

  afterAll(() => cleanUp.run());

  test('queries answer with progress, plan and timeline', async () => {
    const progress = await query('progress');
    expect(progress.code).toBe(0);
    expect(progress.stdout).toContain('rewrite');
    const plan = await query('plan');
    expect(plan.stdout).toContain('every object in another format is written anew');
    const timeline = await query('timeline');
    expect(timeline.stdout).toContain('phase rewrite');
  });

  test('a signal without any input pauses it, as somebody unnamed and unverified', async () => {
    expect((await signal('pause')).code).toBe(0);
    await migration.until('the pause to hold', ({ state }) => state === 'paused');
    expect(await pastTimeline()).toContainEqual(
      expect.objectContaining({ actor: 'unnamed', verified: false, what: 'paused' }),
    );
  });

  test('an update resumes it, and is acknowledged', async () => {
    const answer = await update('resume', '{"actor": "jo", "reason": "maintenance is over"}');
    expect(answer.code).toBe(0);
    expect(answer.stdout).toContain('rewrite');
    expect(await pastTimeline()).toContainEqual(
      expect.objectContaining({ actor: 'jo', what: 'resumed', reason: 'maintenance is over' }),
    );
  });

  test('signals of junk do no harm: each is refused on the timeline, and nothing changes', async () => {
    const before = (await pastTimeline()).filter(({ what }) => what.endsWith('refused')).length;
    let sent = 0;
    for (const name of MESSAGES) {
      // Nothing at all is a message: for these, one that could be obeyed.
      const obeyed = name === 'pause' || name === 'rollback';
      for (const input of JUNK.filter((one) => !(obeyed && (one === undefined || one === 'null')))) {
        expect((await signal(name, input)).code).toBe(0);
        sent += 1;
      }
    }
    const refused = (await pastTimeline()).filter(({ what }) => what.endsWith('refused'));
    expect(refused).toHaveLength(before + sent);
    expect(refused.every(({ reason }) => reason !== undefined && reason !== '')).toBe(true);
    const { phase, state, goal } = await migration.progress();
    expect({ phase: phase === 'rewrite' || phase === 'verify', state, goal }).toEqual({
      phase: true,
      state: 'running',
      goal: 'target',
    });
  });

  test('updates of junk are rejected with the reason, before anything is written down', async () => {
    const { length } = await pastTimeline();
    for (const [input, why] of [
      ['17', 'takes an object such as'],
      ['"now"', 'takes an object such as'],
      ['[1]', 'takes an object such as'],
      ['{"when": "now"}', 'has no field'],
      ['{"actor": 3}', 'must be text'],
    ] as const) {
      const answer = await update('pause', input);
      expect(answer.code).not.toBe(0);
      expect(answer.stderr + answer.stdout).toContain(why);
    }
    const gate = await update('approve', '{"gate": "sideways"}');
    expect(gate.stderr + gate.stdout).toContain('approve needs a gate');
    const early = await update('approve', '{"gate": "cutover"}');
    expect(early.stderr + early.stdout).toContain("cutover can't be approved in phase");
    const grown = (await pastTimeline()).slice(length).filter(({ actor }) => actor !== 'keyferry');
    expect(grown).toEqual([]);
  });

  test('what only shards send does no harm either, whatever somebody puts into it', async () => {
    const { rewrite } = await migration.progress();
    for (const input of [undefined, 'null', '17', '{"index": 0}', '{"index": 0, "counts": 1}']) {
      expect((await signal('shardReport', input)).code).toBe(0);
    }
    expect((await migration.progress()).rewrite.done).toBeGreaterThanOrEqual(rewrite.done);
  });

  test('not one workflow task has failed over all that', async () => {
    const { events } = await migration.handle.fetchHistory();
    const failed = (events ?? []).filter((event) => event.workflowTaskFailedEventAttributes != null);
    expect(failed.map((event) => event.workflowTaskFailedEventAttributes?.failure?.message)).toEqual([]);
  });

  test('a signal approves the cutover, marked as unverified', async () => {
    await migration.untilPhase('soak', 'waiting');
    expect((await signal('approve', '{"gate": "cutover", "actor": "jo"}')).code).toBe(0);
    await migration.untilPhase('cutover', 'waiting');
    expect(await pastTimeline()).toContainEqual(
      expect.objectContaining({ actor: 'jo', verified: false, what: 'approved cutover' }),
    );
  });

  test('a signal rolls it back, even after cutover', async () => {
    expect((await signal('rollback', '{"actor": "jo", "reason": "second thoughts"}')).code).toBe(0);
    const report = await migration.report();
    expect(report.outcome).toBe('rolled-back');
    await expectAllUnder(plane, SOURCE_FORMAT);
  });
});
