import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { inLanes, type Lanes } from './lanes.ts';

/** Works on 0, 1, 2 … of which each ends when it is told to, or at once. */
function walk(items: number, options: Partial<Lanes<number, string>> = {}) {
  const told: number[] = [];
  const begun: number[] = [];
  const ends = new Map<number, (result: string | undefined) => void>();
  const walked = inLanes(
    Array.from({ length: items }, (_, i) => i),
    {
      lanes: 3,
      may: () => Promise.resolve(true),
      work: async (item) => {
        begun.push(item);
        return await new Promise((resolve) => ends.set(item, resolve));
      },
      done: (item, result) => {
        expect(result).toBe(`did ${item}`);
        told.push(item);
      },
      ...options,
    },
  );
  const end = async (item: number, how: 'did' | 'undone' = 'did') => {
    ends.get(item)?.(how === 'did' ? `did ${item}` : undefined);
    await settled();
  };
  return { told, begun, end, walked };
}

/** What can go on without waiting for anything has done so. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('work in lanes', () => {
  it('goes on beside a slow one, and is told in order', async () => {
    const { told, begun, end, walked } = walk(6);
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    await end(2);
    await end(1);
    await end(3);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    expect(told).toEqual([]);
    await end(0);
    expect(told).toEqual([0, 1, 2, 3]);
    await end(5);
    await end(4);
    await walked;
    expect(told).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('begins no other where one was not done, and tells none behind it', async () => {
    const { told, begun, end, walked } = walk(6);
    await settled();
    await end(0);
    expect(begun).toEqual([0, 1, 2, 3]);
    await end(1, 'undone');
    await end(2);
    await end(3);
    await walked;
    expect(begun).toEqual([0, 1, 2, 3]);
    expect(told).toEqual([0]);
  });

  it('begins no other once it may not', async () => {
    const { told, begun, end, walked } = walk(6, { may: (index) => Promise.resolve(index < 2) });
    await settled();
    await end(1);
    await end(0);
    await walked;
    expect(begun).toEqual([0, 1]);
    expect(told).toEqual([0, 1]);
  });

  it('throws what was thrown, once all that was begun has ended', async () => {
    const failure = new Error('fenced');
    let asked = 0;
    const { told, begun, end, walked } = walk(6, {
      may: () => {
        asked += 1;
        return asked === 4 ? Promise.reject(failure) : Promise.resolve(true);
      },
    });
    const ended = Promise.allSettled([walked]);
    await settled();
    await end(0);
    await end(1);
    let over = false;
    void ended.then(() => (over = true));
    await settled();
    expect({ over, begun, told }).toEqual({ over: false, begun: [0, 1, 2], told: [0, 1] });
    await end(2);
    expect(await ended).toEqual([{ status: 'rejected', reason: failure }]);
    expect(told).toEqual([0, 1, 2]);
  });

  it('does each item once, however many and however wide', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 1, max: 60 }),
        async (items, lanes) => {
          const did: number[] = [];
          const { told, walked } = walk(items, {
            lanes,
            work: async (item) => {
              did.push(item);
              if (item % 3 === 0) await settled();
              return `did ${item}`;
            },
          });
          await walked;
          expect(told).toEqual(Array.from({ length: items }, (_, i) => i));
          expect(did.toSorted((a, b) => a - b)).toEqual(told);
        },
      ),
      { numRuns: 50 },
    );
  });
});
