/** A number of objects, in words. */
export function objects(count: number): string {
  return count === 1 ? '1 object' : `${count} objects`;
}

/** Characters of one message at most: it is kept, shown, and handed from run to run. */
export const MAX_WORDS = 500;

/** A message of any length, cut to what may be kept. */
export function clipped(words: string, most = MAX_WORDS): string {
  return words.length <= most ? words : `${words.slice(0, most - 1)}…`;
}

/** A message and what to do about it: where there isn't room for both, what to do stays whole. */
export function withRemedy(message: string, remedy: string): string {
  const wayOut = ` — ${clipped(remedy, MAX_WORDS / 2)}`;
  return `${clipped(message, MAX_WORDS - wayOut.length)}${wayOut}`;
}

/** A message without the keys of the objects it speaks of and the times it took: so that the same trouble has the same words. */
export function withoutKeys(words: string, prefix: string): string {
  return words
    .split(' ')
    .map((word) => (word.startsWith(prefix) ? 'an object' : word))
    .join(' ')
    .replace(/\b\d+(\.\d+)? ?m?s\b/g, 'some time');
}
