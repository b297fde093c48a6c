import { beforeEach, describe, expect, test } from '@jest/globals';
import { ClosedWatchers } from './closed-watchers.ts';
import type { ServerLoad } from './gauges.ts';
import { IDLE } from './server-load.test-helper.ts';

const LOOK_MS = 5_000;

/** What happened from one look to the next, and whether watchers are waited for after it. */
interface Look {
  /** Seconds that a watcher takes which begins anew. */
  relist?: number;
  closed?: number;
  /** Secrets a second that went to watchers. */
  sent?: number;
  restarted?: boolean;
}

/** Looks one after another, five seconds apart; answers with whether watchers were waited for after each. */
function looks(...all: Look[]): boolean[] {
  const watchers = new ClosedWatchers();
  let now: ServerLoad = {
    ...IDLE,
    terminatedWatchers: { secrets: 7, pods: 0 },
    sentToWatchers: { secrets: 1_000_000, pods: 0 },
  };
  watchers.waiting(0, [{ now }], ['secrets'], 50);
  return all.map(({ relist = 50, closed = 0, sent = 0, restarted = false }, i) => {
    const before = now;
    const { secrets = 0, pods = 0 } = before.sentToWatchers;
    now = {
      ...before,
      startedAt: before.startedAt + Number(restarted),
      terminatedWatchers: { secrets: (before.terminatedWatchers['secrets'] ?? 0) + closed, pods: 90 * i },
      sentToWatchers: { secrets: secrets + sent * (LOOK_MS / 1_000), pods: pods + 1e6 },
    };
    const at = (i + 1) * LOOK_MS;
    const waiting = watchers.waiting(at, [{ now, before }], ['secrets'], relist);
    expect(watchers.waiting(at, [{ now, before }], ['secrets'], relist)).toEqual(waiting);
    return waiting.length > 0;
  });
}

describe('closed watchers', () => {
  test('are not waited for when a few are closed, for they come back by themselves', () => {
    expect(looks({ closed: 3 }, {}, { closed: 1 })).toEqual([false, false, false]);
  });

  test('are waited for when they are closed again and again, or many at once, until no more is sent to them', () => {
    const [again, begins, still, done] = [{ closed: 1 }, { closed: 1 }, { sent: 25_000 }, { sent: 1_900 }];
    expect(looks(again, begins, still, still, done)).toEqual([false, true, true, true, false]);
    expect(looks({ closed: 12 }, still, done)).toEqual([true, true, false]);
  });

  test('are not waited for where one that begins anew takes but seconds', () => {
    const [short, long] = [9.5, 10.5].map((relist) => ({ relist, closed: 12, sent: 25_000 }));
    expect([...looks(short ?? {}), ...looks(long ?? {})]).toEqual([false, true]);
  });

  test('are waited for anew when they are closed again afterwards', () => {
    const once = { closed: 2, sent: 10_000 };
    expect(looks({ closed: 12 }, {}, once, once, {})).toEqual([true, false, false, true, false]);
  });

  test('are told with what is sent to them, of what is rewritten alone', () => {
    const watchers = new ClosedWatchers();
    const before: ServerLoad = { ...IDLE, sentToWatchers: { pods: 5 } };
    watchers.waiting(0, [{ now: before }], [], 0);
    const now = {
      ...before,
      terminatedWatchers: { secrets: 50 },
      sentToWatchers: { secrets: 40_000, 'widgets.example.com': 10_000, pods: 1e9 },
    };
    expect(watchers.waiting(10_000, [{ now, before }], ['secrets', 'widgets.example.com'], Infinity)).toEqual(
      [{ server: 'cp-1', objectsPerSecond: 5_000 }],
    );
  });

  test('are waited for five minutes at most, and then no more until all is calm', () => {
    const endless = { closed: 20, sent: 25_000 };
    const seen = looks(...Array<Look>(100).fill(endless), {}, endless);
    expect(seen.indexOf(false)).toBe(60);
    expect(seen.slice(60, 101)).not.toContain(true);
    expect(seen.at(-1)).toBe(true);
  });

  test('of a server that was started anew are forgotten', () => {
    expect(looks({ closed: 12 }, { restarted: true, sent: 25_000 }, { sent: 25_000 })).toEqual([
      true,
      false,
      false,
    ]);
  });

  describe('that are waited for', () => {
    const busy = (
      at: number,
      change: Partial<ServerLoad> = {},
    ): { now: ServerLoad; before?: ServerLoad | undefined } => ({
      now: {
        ...IDLE,
        terminatedWatchers: { secrets: 12 },
        sentToWatchers: { secrets: 25 * at },
        ...change,
      },
    });
    let watchers: ClosedWatchers;
    const waiting = (
      at: number | undefined,
      ...servers: { now: ServerLoad; before?: ServerLoad | undefined }[]
    ): number => watchers.waiting(at, servers, ['secrets'], 50).length;

    beforeEach(() => {
      watchers = new ClosedWatchers();
      waiting(0, { now: IDLE });
      expect(waiting(5_000, { ...busy(5_000), before: IDLE })).toBe(1);
    });

    test('still are when their server does not answer, nor has been seen of late, for five minutes at most', () => {
      expect(waiting(undefined)).toBe(1);
      expect(waiting(10_000)).toBe(1);
      expect(waiting(15_000, busy(15_000))).toBe(1);
      expect(waiting(304_000)).toBe(1);
      expect(waiting(306_000)).toBe(0);
      expect(waiting(311_000, busy(311_000))).toBe(0);
    });

    test('are not any more when it was started anew', () => {
      expect(waiting(10_000, busy(10_000, { startedAt: 9 }))).toBe(0);
    });
  });

  test('of long ago do not make those of now two looks in a row', () => {
    const watchers = new ClosedWatchers();
    const at = (ms: number, now: number, before?: number): number =>
      watchers.waiting(
        ms,
        [
          {
            now: { ...IDLE, terminatedWatchers: { secrets: now } },
            before: before === undefined ? undefined : { ...IDLE, terminatedWatchers: { secrets: before } },
          },
        ],
        ['secrets'],
        50,
      ).length;
    at(0, 0);
    expect(at(5_000, 1, 0)).toBe(0);
    expect(at(9_000_000, 1)).toBe(0);
    expect(at(9_005_000, 2, 1)).toBe(0);
    expect(at(9_010_000, 3, 2)).toBe(1);
  });

  test('are not waited for where so few are closed that rewriting does not even slow down', () => {
    expect(looks({ relist: 12, closed: 2 }, { relist: 12, closed: 2 })).toEqual([false, false]);
    expect(looks({ relist: 12, closed: 3 }, { relist: 12, closed: 3 })).toEqual([false, true]);
  });
});
