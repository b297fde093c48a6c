import { describe, expect, test } from '@jest/globals';
import { closedLimit, relistSeconds } from './relist.ts';

describe('a watcher that begins anew', () => {
  test('takes as long as there are objects', () => {
    const server = { objects: { secrets: 100_000, 'widgets.example.com': 20_000, pods: 1e9 } };
    expect(relistSeconds([server], ['secrets'])).toBe(5);
    expect(relistSeconds([server], ['secrets', 'widgets.example.com'])).toBe(6);
  });

  test('takes as long as the server says that counts most', () => {
    const servers = [20_000, -1, 40_000].map((secrets) => ({ objects: { secrets } }));
    expect(relistSeconds(servers, ['secrets'])).toBe(2);
  });

  test('may take for ever where nobody could count', () => {
    expect(relistSeconds([], ['secrets'])).toBe(Infinity);
    expect(relistSeconds([{ objects: {} }, { objects: { secrets: -1 } }], ['secrets'])).toBe(Infinity);
    expect(relistSeconds([{ objects: { secrets: 1 } }], ['secrets', 'pods'])).toBe(Infinity);
  });

  test('may be one of as many as an API server serves in 25 s', () => {
    expect([Infinity, 50, 25, 24, 5, 0.5].map(closedLimit)).toEqual([1, 1, 1, 2, 5, 50]);
    expect(closedLimit(0)).toBe(Infinity);
  });
});
