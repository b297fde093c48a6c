import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { writeConfig } from '../../lab/config.ts';
import { etcdNames, etcdUrls } from '../../lab/etcd.ts';
import { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import { EtcdClient } from '../../src/cluster/etcd.ts';
import { makeRoom } from '../../src/rewrite/make-room.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';
import { askEtcd, TARGET_FORMAT } from '../support/etcd.ts';
import { expectAllUnder } from '../support/whole.ts';

jest.setTimeout(300_000);

const MIB = 1024 * 1024;

/** Writes a value again and again, and forgets all but the last: the file has so many MiB that are free, at least. */
async function fragment(
  client: EtcdClient,
  mebibytes: number,
  compact: (revision: number) => Promise<unknown>,
): Promise<void> {
  const put = { request_put: { key: Buffer.from('/elsewhere'), value: Buffer.alloc(MIB, 1) } };
  let revision = 0;
  for (let i = 0; i < mebibytes; i += 1) {
    revision = Number((await client.txn({ success: [put] })).header.revision);
  }
  await compact(revision);
}

describe('room in the files of three members', () => {
  const cleanUp = new CleanUp();
  let etcd: EtcdAlone;

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(3), (up) => up.down());
    await fragment(etcd.client, 32, (revision) => etcd.compact(revision));
    // Each member compacts in its own time, and tells what is free then with what is written next.
    await waitFor({ what: 'all members to have compacted', timeoutMs: 60_000 }, async () => {
      await etcd.put(['/elsewhere'], Buffer.alloc(1));
      const { members } = await etcd.client.status();
      return members.every((member) => 'dbInUse' in member && member.dbInUse < 8 * MIB);
    });
  });

  afterAll(() => cleanUp.run());

  function cluster(defragment: 'Never' | 'WhenFull'): Cluster {
    return { etcd: etcd.client, spec: { etcd: { prefix: '/registry', defragment } } } as unknown as Cluster;
  }

  /** Mebibytes of each member's file, the leader's last. */
  async function files(): Promise<number[]> {
    const { members } = await etcd.client.status();
    return members
      .map((member) => ('silent' in member ? { leads: false, dbSize: NaN } : member))
      .sort((a, b) => Number(a.leads) - Number(b.leads))
      .map(({ dbSize }) => Math.round(dbSize / MIB));
  }

  test('is left as it is where keyferry may not make any', async () => {
    const before = await files();
    expect(Math.min(...before)).toBeGreaterThanOrEqual(32);
    expect(await makeRoom(cluster('Never'))).toBeUndefined();
    expect(await files()).toEqual(before);
  });

  test('is left as it is while a member is silent', async () => {
    const { members } = await etcd.client.status();
    const follower = members.find((member) => 'leads' in member && !member.leads)?.endpoint ?? '';
    const name = etcdNames(3)[etcd.endpoints.indexOf(follower)] ?? '';
    await etcd.signal(name, 'SIGSTOP');
    try {
      // Elections, which a busy machine may call at any time, are waited out: without a leader there is no lock to be had.
      const reason = `no member is defragmented while ${follower} is silent`;
      await waitFor(
        { what: 'the silence to be the reason', timeoutMs: 60_000 },
        async () => (await makeRoom(cluster('WhenFull'))) === reason,
      );
    } finally {
      await etcd.signal(name, 'SIGCONT');
    }
    expect(Math.min(...(await files()))).toBeGreaterThanOrEqual(32);
  });

  test('is made in one member at a time, whoever asks, and in the leader last', async () => {
    const said = await Promise.all([makeRoom(cluster('WhenFull')), makeRoom(cluster('WhenFull'))]);
    expect(said.filter((one) => one !== undefined)).toHaveLength(1);
    expect((await files()).filter((mebibytes) => mebibytes >= 32)).toHaveLength(2);
    await makeRoom(cluster('WhenFull'));
    const [one, other, leader] = await files();
    expect(Math.max(one ?? NaN, other ?? NaN)).toBeLessThan(8);
    expect(leader).toBeGreaterThanOrEqual(32);
    expect(await makeRoom(cluster('WhenFull'))).toMatch(/^http\S+ was defragmented$/);
    expect(Math.max(...(await files()))).toBeLessThan(8);
    expect(await makeRoom(cluster('WhenFull'))).toBeUndefined();
  });
});

describe('a migration of a cluster whose etcd has a file as large as its quota, and room in it', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;

  afterAll(() => cleanUp.run());

  test('waits for room, makes some where it may, and completes without the alarm', async () => {
    plane = cleanUp.keep(
      await ControlPlane.up({ apiServers: 1, seed: { secrets: 200, configMaps: 0, large: 0 } }),
      (up) => up.down(),
    );
    const { config } = plane.lab;
    const etcd = cleanUp.keep(
      new EtcdClient({ endpoints: etcdUrls(config), prefix: '/registry' }),
      (client) => {
        client.close();
        return Promise.resolve();
      },
    );
    await fragment(etcd, 64, (revision) =>
      askEtcd(plane.lab, '/v3/kv/compaction', { revision, physical: true }),
    );
    const { dbSize } = await etcd.status();
    writeConfig({ ...config, etcd: { ...config.etcd, quotaBytes: Math.ceil(dbSize / 0.985) } });
    await Lab.open(plane.lab.dir).restart('etcd');
    await Lab.open(plane.lab.dir).restartApiServer('cp-1');

    const migration = await plane.start({}, (document) => {
      (document.spec['cluster'] as { etcd: Record<string, unknown> }).etcd['defragment'] = 'WhenFull';
      return document;
    });
    const { shards } = await migration.until('a member to be defragmented', (seen) =>
      seen.shards.stalled.some((why) => why.includes('was defragmented')),
    );
    expect(shards.stalled.join()).toMatch(
      /etcd's database file \(http\S+\) has 9\d % of its quota of \d+ MB \(limit 98 %\).*; http\S+ was defragmented/,
    );
    await migration.untilPhase('soak', 'waiting');
    await expectAllUnder(plane, TARGET_FORMAT);
    expect((await etcd.status()).dbSize).toBeLessThan(dbSize / 2);
    expect((await etcd.status()).alarms).toEqual([]);
  });
});
