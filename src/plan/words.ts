/** A number of objects, in words. */
export function objects(count: number): string {
  return count === 1 ? '1 object' : `${count} objects`;
}
