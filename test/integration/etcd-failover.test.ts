import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { EtcdClient } from '../../src/cluster/etcd.ts';
import { endOfPrefix } from '../../src/cluster/etcd.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';

jest.setTimeout(180_000);

const PREFIX = '/registry/secrets/';
const KEYS = ['a', 'b', 'c'].map((name) => `${PREFIX}default/${name}`);
const WHOLE = { start: PREFIX, end: endOfPrefix(PREFIX), limit: 10 };

describe('the client of an etcd of three members', () => {
  const cleanUp = new CleanUp();
  let etcd: EtcdAlone;

  /** A client that begins with each of the members, whichever it would have chosen. */
  async function eachBeginning(ask: (client: EtcdClient) => Promise<unknown>): Promise<unknown[]> {
    const answers: unknown[] = [];
    for (let first = 0; first < etcd.endpoints.length; first += 1) {
      const random = jest.spyOn(Math, 'random').mockReturnValue(first / etcd.endpoints.length);
      const client = etcd.newClient();
      random.mockRestore();
      try {
        answers.push(await ask(client));
      } finally {
        client.close();
      }
    }
    return answers;
  }

  const keysOf = async (client: EtcdClient) => (await client.range(WHOLE)).entries.map(({ key }) => key);

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(3), (up) => up.down());
    await etcd.put(KEYS, Buffer.from('a value'));
  });

  afterAll(() => cleanUp.run());

  test('reads, writes, and tells of each member', async () => {
    expect(await eachBeginning(keysOf)).toEqual([KEYS, KEYS, KEYS]);
    const { members, alarms } = await etcd.client.status();
    expect(members.map(({ endpoint }) => endpoint)).toEqual(etcd.endpoints);
    expect(members.filter((member) => 'leads' in member && member.leads)).toHaveLength(1);
    expect(alarms).toEqual([]);
  });

  test('goes to another member when one is dead, for reads and writes', async () => {
    await etcd.signal('etcd-1', 'SIGKILL');
    expect(await eachBeginning(keysOf)).toEqual([KEYS, KEYS, KEYS]);
    const put = { success: [{ request_put: { key: Buffer.from('/one'), value: Buffer.from('1') } }] };
    const answers = await eachBeginning((client) => client.txn(put));
    expect(answers).toHaveLength(3);
    const { members } = await etcd.client.status();
    expect(members.map((member) => 'silent' in member)).toEqual([true, false, false]);
    await etcd.start('etcd-1');
  });

  test('reads past a member that is stuck, but never repeats a write that may have been done', async () => {
    await etcd.signal('etcd-1', 'SIGSTOP');
    expect(await eachBeginning(keysOf)).toEqual([KEYS, KEYS, KEYS]);
    const put = { success: [{ request_put: { key: Buffer.from('/two'), value: Buffer.from('2') } }] };
    const outcomes = await eachBeginning(async (client) => {
      const first = await client.txn(put).then(
        () => 'done',
        (error: unknown) => error,
      );
      // What failed has turned to another member: its caller's next attempt is answered.
      await client.txn(put);
      return first;
    });
    expect(outcomes).toEqual([
      expect.objectContaining({
        code: 'UnreachableEtcd',
        retryable: true,
        message: expect.stringContaining(`${etcd.endpoints[0]}: `),
      }),
      'done',
      'done',
    ]);
    await etcd.signal('etcd-1', 'SIGCONT');
  });

  test('does not answer from a member that has lost the others', async () => {
    await etcd.signal('etcd-2', 'SIGKILL');
    await etcd.signal('etcd-3', 'SIGKILL');
    const error = await etcd.client.range(WHOLE).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'UnreachableEtcd', retryable: true });
    for (const endpoint of etcd.endpoints) expect(String(error)).toContain(`${endpoint}: `);
    await Promise.all([etcd.start('etcd-2'), etcd.start('etcd-3')]);
    expect(await keysOf(etcd.client)).toEqual(KEYS);
  });

  test('takes history for compacted only when no member that answers has it', async () => {
    const before = await etcd.put(KEYS, Buffer.from('another value'));
    const now = await etcd.put(KEYS, Buffer.from('yet another'));
    expect(await etcd.client.compactedPast(before)).toBe(false);
    await etcd.compact(now);
    expect(await etcd.client.compactedPast(before)).toBe(true);

    // An etcd that hasn't got there stands for a member that lags.
    const behind = cleanUp.keep(await EtcdAlone.up(), (up) => up.down());
    const both = etcd.newClient([...etcd.endpoints, ...behind.endpoints]);
    expect(await both.compactedPast(before)).toBe(false);
    await expect(both.status()).rejects.toMatchObject({ code: 'ForeignEtcd' });
    both.close();

    await etcd.signal('etcd-3', 'SIGKILL');
    expect(await etcd.client.compactedPast(before)).toBe(true);
  });
});
