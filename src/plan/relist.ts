/** A core sends some 22,000 objects of 1 KiB a second to a watcher that begins (docs/PERFORMANCE.md). */
const RELISTED_PER_SECOND = 20_000;
/** What an API server tells where it couldn't count. */
const UNKNOWN = -1;

/**
 * How long a watcher takes that begins anew with every object there is, as one does that was closed and has missed too much.
 *
 * @param resources - what it watches
 * @returns seconds, about; Infinity where no server tells how many objects there are
 */
export function relistSeconds(
  servers: readonly { readonly objects: Readonly<Record<string, number>> }[],
  resources: readonly string[],
): number {
  const counts = resources.map((resource) =>
    Math.max(...servers.map(({ objects }) => objects[resource] ?? UNKNOWN)),
  );
  if (counts.some((count) => count <= UNKNOWN)) return Infinity;
  return counts.reduce((sum, count) => sum + count, 0) / RELISTED_PER_SECOND;
}

/** Seconds that closed watchers may take an API server up between two looks, if all of them begin anew. */
const BORNE_SECONDS = 25;

/** From how many closed watchers on that is too much: one, where there are many objects. */
export function closedLimit(relist: number): number {
  return Math.max(1, Math.ceil(BORNE_SECONDS / relist));
}
