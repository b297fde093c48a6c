/** What came of the objects that a chunk, a shard or a pass handled. */
export interface ChunkCounts {
  /** Objects handled. */
  examined: number;
  /** Objects that were written anew (by keyferry, or by another client at the same moment). */
  rewritten: number;
  /** Objects that were current already. */
  current: number;
  /** Objects that were deleted since they were listed. */
  gone: number;
  refused: number;
}

export const NOTHING: ChunkCounts = { examined: 0, rewritten: 0, current: 0, gone: 0, refused: 0 };

/** Refusals that a result, a shard or a migration names; the rest is counted. */
export const MAX_REFUSALS = 50;

/** What came of a pass, in words. */
export function countsText({ examined, rewritten, current, gone, refused }: ChunkCounts): string {
  return `${examined} objects: ${rewritten} rewritten, ${current} current, ${gone} gone, ${refused} refused`;
}

export function sum(...all: readonly ChunkCounts[]): ChunkCounts {
  return all.reduce(
    (whole, one) => ({
      examined: whole.examined + one.examined,
      rewritten: whole.rewritten + one.rewritten,
      current: whole.current + one.current,
      gone: whole.gone + one.gone,
      refused: whole.refused + one.refused,
    }),
    NOTHING,
  );
}
