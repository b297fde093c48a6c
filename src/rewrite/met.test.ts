import { describe, expect, it } from '@jest/globals';
import { RecentRequests } from './met.ts';

function met(requests: RecentRequests, at: number, count: number, ms: number, refused = false): void {
  for (let i = 0; i < count; i += 1) requests.add(at, ms, refused);
}

describe('the requests of late', () => {
  it('are none before the first', () => expect(new RecentRequests().summary(0)).toBeUndefined());

  it('tell their p99 and how many were refused', () => {
    const requests = new RecentRequests();
    met(requests, 1_000, 197, 10);
    met(requests, 1_000, 3, 900, true);
    expect(requests.summary(1_000)).toEqual({ count: 200, refused: 3, p99Ms: 900, baselineMs: 900 });
  });

  it('are forgotten after 10 s, but for the best p99', () => {
    const requests = new RecentRequests();
    met(requests, 0, 150, 20);
    requests.summary(0);
    met(requests, 20_000, 150, 80);
    expect(requests.summary(20_000)).toEqual({ count: 150, refused: 0, p99Ms: 80, baselineMs: 20 });
  });

  it('set no best while they are few', () => {
    const requests = new RecentRequests();
    met(requests, 0, 5, 1);
    requests.summary(0);
    met(requests, 20_000, 150, 80);
    expect(requests.summary(20_000)?.baselineMs).toBe(80);
  });
});
