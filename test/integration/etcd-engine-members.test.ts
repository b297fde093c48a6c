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
const MEMBERS = ['etcd-1', 'etcd-2', 'etcd-3'];
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

  const toAll = (signal: NodeJS.Signals) => Promise.all(MEMBERS.map((name) => etcd.signal(name, signal)));

  async function leader(): Promise<string> {
    const { members } = await etcd.client.status();
    return `etcd-${members.findIndex((member) => 'leads' in member && member.leads) + 1}`;
  }

  /** What is done around one transaction amid a chunk, with the revision of the one before; whether that is to be answered. */
  const strikes: Record<
    string,
    { answered: boolean; before: (revision: number) => Promise<unknown>; after: () => Promise<unknown> }
  > = {
    'all history is compacted away': {
      answered: true,
      before: (revision) => etcd.compact(revision),
      after: () => Promise.resolve(),
    },
    'all members die': {
      answered: false,
      before: () => toAll('SIGKILL'),
      after: () => Promise.all(MEMBERS.map((name) => etcd.start(name))),
    },
    // What was sent is done once they go on, when it has been given up already.
    'all members stand still for longer than is waited for an answer': {
      answered: false,
      before: () => toAll('SIGSTOP'),
      after: () => toAll('SIGCONT'),
    },
    'the leader dies': {
      answered: true,
      before: async () => etcd.signal(await leader(), 'SIGKILL'),
      after: () => Promise.resolve(),
    },
  };

  test.each(Object.entries(strikes))(
    'goes on when %s amid a chunk',
    async (what, { answered, before, after }) => {
      const resource = resourceNamed(`secrets-${Object.keys(strikes).indexOf(what)}`);
      const keys = Array.from({ length: OBJECTS }, (_, i) => resource.key(`s${i}`));
      await etcd.put(keys, Buffer.from(await source.seal(OBJECT, Buffer.alloc(0))));
      let sent = 0;
      let revision = 0;
      let struck: boolean | undefined;
      let counts: ChunkCounts = NOTHING;
      let cursor: string | undefined = resource.etcdPrefix;
      while (cursor !== undefined) {
        const chunk = await rewriteChunk(etcd.client, chain, resource, {
          start: cursor,
          txn: async (request, send) => {
            const strike = (sent += 1) === 3;
            if (strike) await before(revision);
            try {
              const answer = await send(request);
              revision = Number(answer.header.revision);
              if (strike) struck = true;
              return answer;
            } catch (error) {
              if (strike) struck = false;
              throw error;
            } finally {
              if (strike) await after();
            }
          },
        });
        counts = sum(counts, chunk.counts);
        cursor = chunk.cursor;
      }
      // A leader that dies may have been the one that was asked.
      if (what !== 'the leader dies') expect({ struck }).toEqual({ struck: answered });
      expect(sent).toBeGreaterThan(5);
      expect(counts).toMatchObject({ examined: OBJECTS, gone: 0, refused: 0 });
      const end = endOfPrefix(resource.etcdPrefix);
      const { entries } = await etcd.client.range({ start: resource.etcdPrefix, end, limit: 2 * OBJECTS });
      expect(entries.map(({ key }) => key)).toEqual([...keys].sort());
      for (const { key, value } of entries) {
        expect(await chain.open(value, Buffer.from(key))).toEqual({ plaintext: OBJECT, stale: false });
      }
    },
  );
});
