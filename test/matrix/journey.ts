/** What encrypts: where a migration begins, and where it goes. Those after the first four need a key service. */
export const PROVIDERS = ['identity', 'aescbc', 'aesgcm', 'secretbox', 'aws-kms', 'vault', 'hsm'] as const;
export type ProviderName = (typeof PROVIDERS)[number];
export type KeyServiceName = Extract<ProviderName, 'aws-kms' | 'vault' | 'hsm'>;

export function isKeyService(provider: ProviderName): provider is KeyServiceName {
  return provider === 'aws-kms' || provider === 'vault' || provider === 'hsm';
}

/** A directed pair. */
export interface Leg {
  readonly source: ProviderName;
  readonly target: ProviderName;
}

/** Each leg begins where the one before ended. */
export type Journey = readonly Leg[];

/**
 * Every directed pair of providers, each once, as journeys of about one length: a cluster that has gone one leg can go the
 * next, and none has to be filled anew for each pair. None begins with a key service: an API server starts without one.
 *
 * @param count - how many journeys, at most
 */
export function journeys(count: number): Journey[] {
  const legs = circuit();
  const long = Math.ceil(legs.length / count);
  const all: Leg[][] = [[]];
  for (const leg of legs) {
    if ((all.at(-1)?.length ?? 0) >= long && !isKeyService(leg.source)) all.push([]);
    all.at(-1)?.push(leg);
  }
  return all;
}

/** A circuit over all directed pairs (Hierholzer's algorithm: every provider has as many ways in as out). */
function circuit(): Leg[] {
  const open = new Map(PROVIDERS.map((one) => [one, PROVIDERS.filter((other) => other !== one)]));
  const path: ProviderName[] = [PROVIDERS[0]];
  const visited: ProviderName[] = [];
  for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
    const next = open.get(at)?.shift();
    if (next === undefined) visited.unshift(...path.splice(-1));
    else path.push(next);
  }
  return visited.slice(1).map((target, i) => ({ source: visited[i] ?? PROVIDERS[0], target }));
}
