import type { ChunkOptions } from './engine.ts';

/** What a chunk keeps to where nothing holds it back. */
export function chunkOptions(own: Partial<ChunkOptions> = {}): ChunkOptions {
  return {
    signal: new AbortController().signal,
    guard: () => Promise.resolve(),
    pace: { batch: (most) => most, next: () => Promise.resolve(undefined) },
    met: () => undefined,
    wrote: () => undefined,
    onProgress: () => undefined,
    waived: new Map(),
    ...own,
  };
}
