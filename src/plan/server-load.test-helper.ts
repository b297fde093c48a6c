import type { ServerLoad } from './gauges.ts';

/** An API server that nobody has asked for anything yet. */
export const IDLE: ServerLoad = {
  name: 'cp-1',
  startedAt: 1,
  memoryBytes: 0,
  queued: 0,
  rejected: 0,
  terminatedWatchers: {},
  watchCaches: {},
  sentToWatchers: {},
  objects: {},
};
