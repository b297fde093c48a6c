/** Runs all, so many at once; one that throws, such as a lab that can't be put up, is not ok. */
export async function sideBySide(
  lanes: number,
  jobs: readonly (() => Promise<boolean>)[],
): Promise<boolean[]> {
  const left = [...jobs];
  const done: boolean[] = [];
  const lane = async (): Promise<void> => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) {
      done.push(
        await job().catch((error: unknown) => {
          console.error(error);
          return false;
        }),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, lanes) }, lane));
  return done;
}
