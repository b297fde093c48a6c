export interface Lanes<T, R> {
  /** Items under way at once. */
  readonly lanes: number;
  /** Asked before each item, by its place, in order; once it answers no, no other is begun. */
  readonly may: (index: number) => Promise<boolean>;
  /** Answers undefined where the item wasn't done: then, too, no other is begun. */
  readonly work: (item: T) => Promise<R | undefined>;
  /** Told of each item in order, as soon as all before it are done. */
  readonly done: (item: T, result: R) => void;
}

/**
 * Works on items several at a time: a slow one holds up its own lane, not those beside it. Ends when all that was begun has
 * ended.
 *
 * @throws whatever `may` or `work` threw first
 */
export async function inLanes<T, R>(
  items: readonly T[],
  { lanes, may, work, done }: Lanes<T, R>,
): Promise<void> {
  const ahead = new Map<number, { item: T; result: R }>();
  let next = 0;
  let told = 0;
  let stopped = false;
  const one = async (index: number, item: T): Promise<R | undefined> => {
    try {
      return (await may(index)) ? await work(item) : undefined;
    } catch (error) {
      stopped = true;
      throw error;
    }
  };
  const lane = async () => {
    while (!stopped) {
      const index = next;
      const item = items[index];
      if (item === undefined) return;
      next += 1;
      const result = await one(index, item);
      if (result === undefined) {
        stopped = true;
        return;
      }
      ahead.set(index, { item, result });
      for (let first = ahead.get(told); first !== undefined; first = ahead.get(told)) {
        ahead.delete(told);
        told += 1;
        done(first.item, first.result);
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
