import { describe, expect, it } from '@jest/globals';
import type { ServerLoad } from '../plan/gauges.ts';
import { IDLE } from '../plan/server-load.test-helper.ts';
import { OwnWrites } from './own-writes.ts';

/** A look at one server that was begun at a time, and showed how far its watch cache of Secrets had come. */
function look(at: number, watchCaches: ServerLoad['watchCaches']): { at: number; loads: ServerLoad[] } {
  return {
    at,
    loads: [{ ...IDLE, watchCaches }],
  };
}

describe('what this process wrote', () => {
  function writes(): OwnWrites {
    const own = new OwnWrites();
    own.add('secrets', 1_000, 10);
    own.add('secrets', 2_000, 20);
    own.add('secrets', 3_000, 30);
    return own;
  }

  it('shows how far a watch cache is behind: since the oldest write that it has not seen', () => {
    expect(writes().lags(look(4_000, { secrets: 19 }))).toEqual([
      { server: 'cp-1', resource: 'secrets', ms: 2_000 },
    ]);
    expect(writes().lags(look(4_000, { secrets: 9 }))).toEqual([
      { server: 'cp-1', resource: 'secrets', ms: 3_000 },
    ]);
  });

  it('shows none for a cache that has seen all, or that nothing was written of', () => {
    expect(writes().lags(look(9_000, { secrets: 30 }))).toEqual([]);
    expect(writes().lags(look(9_000, { configmaps: 3 }))).toEqual([]);
  });

  it('shows none for what was written after the look began', () => {
    expect(writes().lags(look(2_500, { secrets: 20 }))).toEqual([]);
  });

  it('shows none for a cache that has stood still for half a minute, until it moves again', () => {
    const own = writes();
    expect(own.lags(look(4_000, { secrets: 9 }))).toHaveLength(1);
    expect(own.lags(look(33_000, { secrets: 9 }))).toHaveLength(1);
    expect(own.lags(look(34_000, { secrets: 9 }))).toEqual([]);
    expect(own.lags(look(40_000, { secrets: 19 }))).toEqual([
      { server: 'cp-1', resource: 'secrets', ms: 38_000 },
    ]);
  });

  it('shows a lag of a cache that had nothing to follow for long before', () => {
    const own = writes();
    expect(own.lags(look(4_000, { secrets: 30 }))).toEqual([]);
    own.add('secrets', 100_000, 40);
    expect(own.lags(look(104_000, { secrets: 30 }))).toEqual([
      { server: 'cp-1', resource: 'secrets', ms: 4_000 },
    ]);
  });

  it('is not remembered any finer than twice a second, nor for more than ten minutes', () => {
    const own = writes();
    own.add('secrets', 3_400, 31);
    expect(own.lags(look(4_000, { secrets: 30 }))).toEqual([]);
    own.add('secrets', 700_000, 40);
    expect(own.lags(look(800_000, { secrets: 0 }))).toEqual([
      { server: 'cp-1', resource: 'secrets', ms: 100_000 },
    ]);
  });

  it('is what was written within ten minutes', () => {
    const own = writes();
    own.add('configmaps', 500_000, 40);
    expect(own.resources(600_000)).toEqual(['secrets', 'configmaps']);
    expect(own.resources(603_000)).toEqual(['configmaps']);
  });
});
