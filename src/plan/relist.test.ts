import { describe, expect, test } from '@jest/globals';
import { relistSeconds } from './relist.ts';

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
});
