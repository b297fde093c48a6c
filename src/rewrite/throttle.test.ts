import { expect, test } from '@jest/globals';
import type { Cluster } from '../cluster/cluster.ts';
import { Throttle } from './throttle.ts';

test('each resource begins slowly by itself, for each has a watch cache of its own', () => {
  const throttle = new Throttle({} as Cluster);
  expect(throttle.turn('secrets', 100_000)).toBe(0);
  expect(throttle.turn('secrets', 500)).toBeGreaterThan(100_000);
  expect(throttle.turn('configmaps', 500)).toBe(0);
  expect(throttle.turn('configmaps', 500)).toBeGreaterThan(500);
});
