import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { apiClient } from '../../lab/api-server.ts';
import { writeConfig } from '../../lab/config.ts';
import { etcdUrls } from '../../lab/etcd.ts';
import { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { type Check } from '../../src/plan/preflight.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { askEtcd, migratedValues, TARGET_FORMAT } from '../support/etcd.ts';
import { type RunningMigration } from '../support/running-migration.ts';
import { expectAllUnder, expectReadable } from '../support/whole.ts';

jest.setTimeout(800_000);

const OBJECTS = 6_000;
const NODE = 'cp-1';
/** In ten minutes, in which nothing is compacted, six of ten objects: somebody who lets it go faster fills the rest. */
const SLOW = { pace: { objectsPerSecond: 6, concurrency: 8, shards: 4 } };

describe('a migration that the cluster can only just bear', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let migration: RunningMigration;
  /** Alarms that etcd was seen to raise; those that it always has aside. */
  const alarms: unknown[] = [];

  /** Bytes of etcd's database that are in use, and bytes of its file, by its own metrics. */
  async function database(): Promise<{ inUse: number; file: number }> {
    const metrics = await (await fetch(`${etcdUrls(plane.lab.config)[0] ?? ''}/metrics`)).text();
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
    return {
      inUse: value('etcd_mvcc_db_total_size_in_use_in_bytes'),
      file: value('etcd_mvcc_db_total_size_in_bytes'),
    };
  }

  async function valueBytes(): Promise<number> {
    return (await migratedValues(plane.lab)).reduce((sum, { value }) => sum + value.length, 0);
  }

  /** Starts etcd again with another quota, and the API server with few requests at once. */
  async function withQuota(quotaBytes: number): Promise<void> {
    const { config } = Lab.open(plane.lab.dir);
    writeConfig({
      ...config,
      etcd: { ...config.etcd, quotaBytes: Math.ceil(quotaBytes) },
      apiServers: config.apiServers.map((server) => ({
        ...server,
        flags: ['--max-requests-inflight=20', '--max-mutating-requests-inflight=10'],
      })),
    });
    await Lab.open(plane.lab.dir).restart('etcd');
    await Lab.open(plane.lab.dir).restartApiServer(NODE);
    await waitFor({ what: 'the API server to be ready', timeoutMs: 60_000 }, async () => {
      return (await plane.ask(NODE, 'GET', '/readyz')).status === 200;
    });
  }

  async function roomCheck(code: number, spec = {}): Promise<Check | undefined> {
    const answer = await plane.cli(['preflight', '-f', plane.document({ spec }), '--json']);
    expect({ code: answer.code, stderr: answer.stderr }).toMatchObject({ code });
    return (jsonOf(answer) as { checks: Check[] }).checks.find(({ name }) => name === 'room in etcd');
  }

  /** Asks for one object again and again, as a client does that priority and fairness doesn't exempt. */
  function flood(clients: number): () => Promise<void> {
    const stopping = new AbortController();
    const client = apiClient(plane.lab.config, NODE, 'keyferry', { maxSockets: clients });
    const all = Promise.all(
      Array.from({ length: clients }, async () => {
        while (!stopping.signal.aborted) {
          await client.request('GET', '/api/v1/namespaces').catch(() => undefined);
        }
      }),
    );
    return async () => {
      stopping.abort();
      await all;
      client.close();
    };
  }

  beforeAll(async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({
        apiServers: 1,
        // Nothing that a pass replaces is compacted before the pass would be over.
        etcdCompactionSeconds: 120,
        seed: { secrets: OBJECTS, configMaps: 0, large: 0 },
      }),
      (up) => up.down(),
    );
    const stopping = new AbortController();
    const watching = (async () => {
      while (!stopping.signal.aborted) {
        const answer = (await askEtcd(plane.lab, '/v3/maintenance/alarm', { action: 'GET' }).catch(
          () => ({}),
        )) as { alarms?: unknown[] };
        alarms.push(...(answer.alarms ?? []));
        await sleep(200, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    })();
    cleanUp.keep({ stopping, watching }, async (one) => {
      one.stopping.abort();
      await one.watching;
    });
  });

  afterAll(() => cleanUp.run());

  test('is refused where it does not fit, with the arithmetic', async () => {
    const bytes = await valueBytes();
    const { inUse, file } = await database();
    await withQuota(Math.max(file, inUse) + bytes / 2);
    const room = await roomCheck(1);
    expect(room).toMatchObject({ outcome: 'fail' });
    expect(room?.detail).toMatch(
      /^[\d,]+ objects to rewrite \([\d,]+ bytes each with their keys, [\d,]+ under the target, [\d,]+ in etcd's pages\) need about [\d.,]+ MB until they are compacted; http\S+ has [\d.,]+ MB in use of [\d.,]+ MB$/,
    );
    expect(room?.remedy).toContain('--quota-backend-bytes');
  });

  test('begins where it nearly fits at its pace, and warns of it', async () => {
    const tooMuch = await roomCheck(1, SLOW);
    expect(tooMuch?.detail).toContain(
      `of which ${(600 * SLOW.pace.objectsPerSecond).toLocaleString('en')} are rewritten until they are compacted at that pace`,
    );
    const needed = 1e6 * Number(/need about ([\d.]+) MB/.exec(tooMuch?.detail ?? '')?.[1]);
    const { inUse } = await database();
    await withQuota((inUse + needed) / 0.95);
    expect(await roomCheck(0, SLOW)).toMatchObject({ outcome: 'warn' });
  });

  test('slows down while others queue at its API server, says so, and is at full speed again after that', async () => {
    migration = await plane.start({ spec: SLOW });
    await migration.until('a part to be rewritten', ({ rewrite }) => rewrite.done > 0);
    const stop = flood(150);
    try {
      // What is slow on a busy machine may be told, too, and before.
      await migration.until('it to slow down for that', (seen) =>
        (seen.throttle?.slowed ?? []).some((why) =>
          /wait in the queues of cp-1|cp-1 has just refused/.test(why),
        ),
      );
    } finally {
      await stop();
    }
    await migration.until('it to be at full speed again', (seen) => seen.throttle?.slowed.length === 0);
  });

  test('goes on at the rate that a person asks for while it runs', async () => {
    const refused = await migration.tell('rate fast');
    expect(refused.code).toBe(77);
    expect(refused.stderr).toContain('a whole number from 0 (no limit)');

    await migration.order('rate 400');
    await migration.until('the rate to rise', ({ rate }) => rate > 20);
    expect((await migration.progress()).throttle?.objectsPerSecond).toBe(400);
    expect(await migration.timeline()).toContainEqual(
      expect.objectContaining({
        actor: 'tester',
        verified: true,
        what: 'rate: 400 objects per second at most',
      }),
    );
  });

  test("pauses before etcd's quota is reached, and goes on once API servers have compacted", async () => {
    const { shards } = await migration.until(
      'it to pause for room',
      (seen) => seen.shards.stalled.some((why) => why.includes('of its quota')),
      300_000,
    );
    expect(shards.stalled.join()).toMatch(
      /etcd's database \(http\S+\) has \d+ % of its quota of \d+ MB in use( and grows by [\d.]+ MB a second)? \(limit 90 %\), until API servers compact it/,
    );
    await migration.untilPhase('soak', 'waiting', 400_000);
    await expectAllUnder(plane, TARGET_FORMAT);
  });

  test('never makes etcd raise its alarm, and loses nothing', async () => {
    expect(alarms).toEqual([]);
    // Two compactions may be waited for.
    expect((await migration.finish(400_000)).outcome).toBe('completed');
    await expectReadable(plane, OBJECTS);
    expect(alarms).toEqual([]);
  });
});
