import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { kubeconfig } from '../../lab/kubeconfig.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { historyLengths, MOST_EVENTS } from '../support/history.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(300_000);

describe('a migration whose worker ends, that is left alone for long, and misses an agent', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;

  beforeAll(async () => {
    plane = cleanUp.keep(await ControlPlane.up({ apiServers: 1, seed: { secrets: 600, large: 0 } }), (up) =>
      up.down(),
    );
    migration = await plane.start({ spec: { pace: { objectsPerSecond: 80 } } });
  });

  afterAll(() => cleanUp.run());

  test('repeats nothing of a chunk in whose midst its worker was told to end', async () => {
    await migration.until('some objects', ({ rewrite }) => rewrite.done > 100);
    await plane.lab.stop('worker-1');
    await plane.lab.start('worker-1');
    const { rewrite } = await migration.untilPhase('soak', 'waiting');
    // What is handled a second time is found to be current.
    expect(rewrite).toMatchObject({ current: 0, refused: 0 });
    expect(rewrite.rewritten + rewrite.gone).toBe(rewrite.done);
  });

  test('a migration left paused for a week goes on, with the credentials of that day', async () => {
    await migration.order('pause');
    await migration.until('the pause', ({ state }) => state === 'paused');
    await plane.lab.stop('cp-1.apiserver');
    const { tokens, kubeconfig: file } = plane.lab.paths;
    const rotated = readFileSync(tokens, 'utf8').replace(
      /^[^,]+,keyferry/m,
      `${randomBytes(24).toString('base64url')},keyferry`,
    );
    writeFileSync(tokens, rotated);
    writeFileSync(file, kubeconfig(plane.lab.config));
    await plane.lab.start('cp-1.apiserver');
    await migration.order('resume');
    await migration.untilPhase('soak', 'waiting');
  });

  test('waits for an agent that is absent, says on which node and what to do, and since when', async () => {
    await plane.lab.stop('cp-1.agent');
    await migration.order('approve cutover');
    const absent =
      /no agent on cp-1 takes up ".*" — start it there: keyferry agent --cluster \S+ --node cp-1/;
    const first = await migration.until('the agent', ({ waitingFor }) => absent.test(waitingFor));
    const seen: number[] = [];
    const again = await migration.until('a second attempt', ({ waitingFor, waitingSince = 0 }) => {
      if (seen.at(-1) !== waitingSince) seen.push(waitingSince);
      return !absent.test(waitingFor);
    });
    const third = await migration.until('it to fail', ({ waitingFor }) => absent.test(waitingFor));
    expect([again.waitingSince, third.waitingSince]).toEqual([first.waitingSince, first.waitingSince]);
    expect(seen).toEqual([first.waitingSince]);
    await plane.lab.start('cp-1.agent');
    await migration.untilPhase('cutover', 'waiting');
    await migration.order('approve cleanup');
    expect(await migration.report()).toMatchObject({ outcome: 'completed' });
  });

  test('none of its histories has more than 2,000 events', async () => {
    const runs = await historyLengths(plane.temporal, migration.workflowId);
    expect(new Set(runs.map(({ type }) => type))).toEqual(
      new Set(['migration', 'rewriteShard', 'census', 'reads']),
    );
    expect(runs[0]?.events).toBeLessThan(MOST_EVENTS);
  });
});
