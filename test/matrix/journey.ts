/** What encrypts: where a migration begins, and where it goes. Those after the first four need a key service. */
export const PROVIDERS = ['identity', 'aescbc', 'aesgcm', 'secretbox', 'aws-kms', 'vault', 'hsm'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

/** Another key of a provider's kind, for migrations that stay with the kind. */
export const SIBLINGS = {
  'aescbc-2': 'aescbc',
  'vault-2': 'vault',
  'aws-kms-region': 'aws-kms',
  'aws-kms-account': 'aws-kms',
  'aws-kms-multi-region': 'aws-kms',
  'aws-kms-replica': 'aws-kms',
  'aws-kms-alias': 'aws-kms',
} as const satisfies Record<string, ProviderName>;
type SiblingName = keyof typeof SIBLINGS;

/** Whatever a migration may begin with, or go to. */
export type SideName = ProviderName | SiblingName;
export const SIDES: readonly SideName[] = [...PROVIDERS, ...(Object.keys(SIBLINGS) as SiblingName[])];

type OfKind<Kind extends ProviderName> = {
  [Name in SideName]: (Name extends SiblingName ? (typeof SIBLINGS)[Name] : Name) extends Kind ? Name : never;
}[SideName];
export type KeyServiceName = OfKind<'aws-kms' | 'vault' | 'hsm'>;
/** What has its key in the file. */
export type LocalName = OfKind<'aescbc' | 'aesgcm' | 'secretbox'>;

export function kindOf(side: SideName): ProviderName {
  return isSibling(side) ? SIBLINGS[side] : side;
}

function isSibling(side: SideName): side is SiblingName {
  return side in SIBLINGS;
}

export function isKeyService(side: SideName): side is KeyServiceName {
  return ['aws-kms', 'vault', 'hsm'].includes(kindOf(side));
}

/** A directed pair; a provider to itself is a rotation of its key, within one kms entry. */
export interface Leg {
  readonly source: SideName;
  readonly target: SideName;
}

/** Each leg begins where the one before ended. */
export type Journey = readonly Leg[];

/** Migrations within one kind of provider, and what changes. */
export const SPECIAL: readonly (Leg & { readonly what: string })[] = [
  { source: 'aescbc', target: 'aescbc-2', what: 'aescbc: key 1 → key 2' },
  { source: 'vault', target: 'vault-2', what: 'Vault: one key of a transit mount → another' },
  { source: 'aws-kms', target: 'aws-kms-region', what: 'AWS KMS: Region → Region' },
  {
    source: 'aws-kms-region',
    target: 'aws-kms-account',
    what: 'AWS KMS: account → account, by a role there',
  },
  {
    source: 'aws-kms-multi-region',
    target: 'aws-kms-replica',
    what: 'AWS KMS: multi-Region key → its replica in another Region',
  },
  { source: 'vault', target: 'vault', what: 'Vault: one version of a key → the next, in one kms entry' },
  {
    source: 'aws-kms-alias',
    target: 'aws-kms-alias',
    what: 'AWS KMS: an alias pointed at another key, in one kms entry',
  },
];

/** Key services whose keys are rotated: their plugins wait to be told of the new version. */
export const ROTATED = ['vault', 'aws-kms-alias'] as const satisfies readonly KeyServiceName[];
export type RotatedName = (typeof ROTATED)[number];

export function isRotated(side: SideName): side is RotatedName {
  return ROTATED.some((one) => one === side);
}

/** How a leg is called, in files and on the command line. */
export function nameOf({ source, target }: Leg): string {
  return `${source}-to-${target}`;
}

/** Every leg of the matrix, in an order in which a cluster can go them. */
export function specialJourney(): Journey {
  return linked(SPECIAL);
}

/**
 * The journey of one leg, by its name.
 *
 * @throws Error for a name that no leg of the matrix has
 */
export function journeyOf(name: string): Journey {
  const leg = [...circuit(), ...SPECIAL].find((one) => nameOf(one) === name);
  if (leg === undefined) throw new Error(`no leg of the matrix is called ${name}: see docs/MATRIX.md`);
  return isKeyService(leg.source) ? [{ source: 'aescbc', target: leg.source }, leg] : [leg];
}

/** A journey through places. */
export function through(first: SideName, ...others: readonly SideName[]): Journey {
  return others.map((target, i) => ({ source: others[i - 1] ?? first, target }));
}

/** Legs as one journey: where one doesn't begin where the one before ended, another leads there. */
function linked(legs: Journey): Journey {
  return legs.flatMap((leg, i) => {
    const at = legs[i - 1]?.target;
    return at === undefined || at === leg.source ? [leg] : [{ source: at, target: leg.source }, leg];
  });
}

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
