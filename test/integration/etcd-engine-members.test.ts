import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { endOfPrefix } from '../../src/cluster/etcd.ts';
import { EnvelopeChain } from '../../src/envelope/chain.ts';
import { localProvider } from '../../src/envelope/providers.ts';
import { NOTHING, sum, type ChunkCounts } from '../../src/plan/counts.ts';
import { CleanUp } from '../support/clean-up.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';
import { FENCE_KEY, FENCE_VALUE, resourceNamed, rewriteChunk } from '../support/etcd-engine.ts';

jest.setTimeout(180_000);

const OBJECT = Buffer.from('k8s\0 an object');
const OBJECTS = 1_000;
const source = localProvider('aescbc', 'old', Buffer.alloc(32, 1));
const chain = new EnvelopeChain([localProvider('aescbc', 'new', Buffer.alloc(32, 2)), source]);

describe('the engine Etcd over three members', () => {
  const cleanUp = new CleanUp();
  let etcd: EtcdAlone;

  beforeAll(async () => {
    etcd = cleanUp.keep(await EtcdAlone.up(3), (up) => up.down());
    await etcd.put([FENCE_KEY], FENCE_VALUE);
  });

  afterAll(() => cleanUp.run());

  test('goes on when all history is compacted away, and when its leader dies amid a chunk', async () => {
    const resource = resourceNamed('secrets');
    const keys = Array.from({ length: OBJECTS }, (_, i) => resource.key(`s${i}`));
    await etcd.put(keys, Buffer.from(await source.seal(OBJECT, Buffer.alloc(0))));
    const { members } = await etcd.client.status();
    const leader = `etcd-${members.findIndex((member) => 'leads' in member && member.leads) + 1}`;
    let sent = 0;
    let revision = 0;
    let counts: ChunkCounts = NOTHING;
    let cursor: string | undefined = resource.etcdPrefix;
    while (cursor !== undefined) {
      const chunk = await rewriteChunk(etcd.client, chain, resource, {
        start: cursor,
        txn: async (request, send) => {
          const turn = (sent += 1);
          if (turn === 3) await etcd.compact(revision);
          if (turn === 5) await etcd.signal(leader, 'SIGKILL');
          const answer = await send(request);
          revision = Number(answer.header.revision);
          return answer;
        },
      });
      counts = sum(counts, chunk.counts);
      cursor = chunk.cursor;
    }
    expect(sent).toBeGreaterThan(5);
    expect(counts).toMatchObject({ examined: OBJECTS, gone: 0, refused: 0 });
    const end = endOfPrefix(resource.etcdPrefix);
    const { entries } = await etcd.client.range({ start: resource.etcdPrefix, end, limit: 2 * OBJECTS });
    expect(entries.map(({ key }) => key)).toEqual([...keys].sort());
    for (const { key, value } of entries) {
      expect(await chain.open(value, Buffer.from(key))).toEqual({ plaintext: OBJECT, stale: false });
    }
  });
});
