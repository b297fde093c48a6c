import { KeyferryError } from '../errors.ts';
import { canonicalResource } from './group-resource.ts';
import type { EntryModel, FileModel, LocalProviderModel, ProviderModel } from './model.ts';
import type { Arrangement, ArrangementEdit, ProviderEntry, ProviderRef } from './types.ts';

/** An element of a list to be: one of the original's by its index (with only some of its keys), or a new one. */
export type ProviderPlan =
  { readonly kept: number; readonly keys?: readonly number[] } | { readonly added: ProviderEntry };

/** An entry to be. Several may come from one original entry, which was split then; the first has its comments. */
export type EntryPlan =
  | {
      readonly kept: number;
      readonly resources: readonly number[];
      readonly providers: readonly ProviderPlan[];
    }
  | { readonly resources: readonly string[]; readonly added: readonly ProviderEntry[] };

export type EditedArrangement = Exclude<Arrangement, 'source-only'>;

/** The original's entries that concern an edit. */
export interface Scope {
  readonly file: FileModel;
  readonly edit: ArrangementEdit;
  readonly migrated: ReadonlySet<string>;
  /** The entries that name a migrated resource, and among them those that name one for the first time. */
  readonly covering: readonly number[];
  readonly first: ReadonlySet<number>;
  /** Migrated resources that no entry names: a server keeps them as identity does. */
  readonly unlisted: readonly string[];
  /**
   * A kms name stands once in a file. When the target has to reach more than one entry, it gets one of its own:
   * the providers of entries that name the same resource add up.
   */
  readonly targetApart: boolean;
}

export function scopeOf(file: FileModel, edit: ArrangementEdit): Scope {
  const migrated = new Set(edit.resources.map(canonicalResource));
  const covering: number[] = [];
  const first = new Set<number>();
  const unlisted = new Set(migrated);
  file.entries.forEach((entry, i) => {
    const mine = entry.resources
      .map((field) => canonicalResource(field.value))
      .filter((name) => migrated.has(name));
    if (mine.length > 0) covering.push(i);
    if (mine.some((name) => unlisted.has(name))) first.add(i);
    for (const name of mine) unlisted.delete(name);
  });
  const places = first.size + (unlisted.size > 0 ? 1 : 0);
  const targetApart = edit.target.type === 'kms' && places > 1;
  return { file, edit, migrated, covering, first, unlisted: [...unlisted], targetApart };
}

/** The entries of the file in an arrangement. The edit has been checked against the file. */
export function planEntries(scope: Scope, arrangement: EditedArrangement): EntryPlan[] {
  if (arrangement === 'target-reads' && targetReadsAlready(scope)) return scope.file.entries.map(keepEntry);
  const plan: EntryPlan[] = [];
  const apart = (when: boolean): void => {
    if (scope.targetApart && when) plan.push({ resources: [...scope.migrated], added: [scope.edit.target] });
  };
  const lastCovering = scope.covering.at(-1) ?? scope.file.entries.length - 1;
  const newcomersAt = scope.targetApart ? lastCovering : scope.file.entries.length - 1;
  scope.file.entries.forEach((entry, i) => {
    apart(i === scope.covering[0] && arrangement !== 'target-reads');
    plan.push(...planEntry(scope, entry, i, arrangement));
    if (i === newcomersAt) plan.push(...planUnlisted(scope, arrangement));
    apart(i === lastCovering && arrangement === 'target-reads');
  });
  return plan;
}

function keepEntry(entry: EntryModel, kept: number): EntryPlan {
  return {
    kept,
    resources: entry.resources.map((_, i) => i),
    providers: entry.providers.map((_, i) => ({ kept: i })),
  };
}

function planEntry(
  scope: Scope,
  entry: EntryModel,
  index: number,
  arrangement: EditedArrangement,
): EntryPlan[] {
  const whole = keepEntry(entry, index);
  if (!scope.covering.includes(index)) return [whole];
  const providers = planProviders(scope, entry, scope.first.has(index), arrangement);
  if (providers === undefined) return [whole];
  const indices = entry.resources.map((_, i) => i);
  const isMine = (i: number): boolean =>
    scope.migrated.has(canonicalResource(entry.resources[i]?.value ?? ''));
  const mine = indices.filter(isMine);
  const others = indices.filter((i) => !isMine(i));
  // An entry left without providers would be invalid: its resources stand in another one.
  const edited: EntryPlan[] = providers.length === 0 ? [] : [{ kept: index, resources: mine, providers }];
  if (others.length === 0) return edited;
  const kms = entry.providers.find((provider) => provider.type === 'kms');
  if (kms !== undefined)
    throw sharedKms(
      kms.kms.name.value,
      others.map((i) => entry.resources[i]?.value ?? ''),
    );
  return [
    { kept: index, resources: others, providers: entry.providers.map((_, i) => ({ kept: i })) },
    ...edited,
  ];
}

export function sharedKms(name: string, others: readonly string[]): KeyferryError {
  const list = others.join(', ');
  return new KeyferryError(
    'EncryptionConfigurationSharedKms',
    `The kms provider ${JSON.stringify(name)} stands in an entry that ${list} also belong${others.length === 1 ? 's' : ''} to, and a kms name may stand only once in the file: the entry can't be split.`,
    { remedy: `Migrate all resources of the entry together: add ${list} to the migration's resources.` },
  );
}

/** The providers of a covering entry for the migrated resources; undefined when they stay as they are. */
function planProviders(
  scope: Scope,
  entry: EntryModel,
  isFirst: boolean,
  arrangement: EditedArrangement,
): ProviderPlan[] | undefined {
  const { target } = scope.edit;
  const brings = isFirst && !scope.targetApart;
  if (arrangement === 'target-reads' && brings && entryHasTarget(entry, target)) return undefined;
  const kept: ProviderPlan[] = [];
  let moved: ProviderPlan | undefined;
  let changed = brings;
  const isTarget = linkMatcher(target);
  const isSource = arrangement === 'target-only' ? sourceMatcher(scope, entry) : () => false;
  // The target leaves its old place where a new one is given to it; a kms name may not stand twice in any case.
  const relocates = brings || target.type === 'kms';
  entry.providers.forEach((provider, i) => {
    const links = linksOf(provider);
    const left = links.flatMap((link, k) => (isSource(link) || (relocates && isTarget(link)) ? [] : [k]));
    if (left.length === links.length) kept.push({ kept: i });
    else {
      changed = true;
      if (left.length > 0) kept.push({ kept: i, keys: left });
      else if (links.every(isTarget)) moved ??= { kept: i };
    }
  });
  if (!changed) return undefined;
  if (!brings) return kept;
  const entering = moved ?? { added: target };
  return arrangement === 'target-reads'
    ? [...kept.slice(0, 1), entering, ...kept.slice(1)]
    : [entering, ...kept];
}

function planUnlisted({ unlisted, targetApart, edit }: Scope, arrangement: EditedArrangement): EntryPlan[] {
  if (unlisted.length === 0) return [];
  const source: ProviderEntry[] = arrangement === 'target-only' ? [] : [{ type: 'identity' }];
  const target: ProviderEntry[] = targetApart ? [] : [edit.target];
  const added = arrangement === 'target-reads' ? [...source, ...target] : [...target, ...source];
  return added.length === 0 ? [] : [{ resources: unlisted, added }];
}

function targetReadsAlready({ file, migrated, edit }: Scope): boolean {
  return [...migrated].every((resource) =>
    file.entries.some(
      (entry) =>
        entry.resources.some((field) => canonicalResource(field.value) === resource) &&
        entryHasTarget(entry, edit.target),
    ),
  );
}

function entryHasTarget(entry: EntryModel, target: ProviderEntry): boolean {
  return entry.providers.some((provider) => linksOf(provider).some(linkMatcher(target)));
}

/** What a provider reads by: one link for each of its keys, one for a provider without keys. */
export type Link =
  | { readonly type: 'identity' }
  | { readonly type: LocalProviderModel['type']; readonly keyName: string; readonly secret: string }
  | { readonly type: 'kms'; readonly name: string; readonly endpoint: string; readonly apiVersion: string };

export function linksOf(provider: ProviderModel): Link[] {
  switch (provider.type) {
    case 'none':
      return [];
    case 'identity':
      return [{ type: 'identity' }];
    case 'kms': {
      const { name, endpoint, apiVersion } = provider.kms;
      const version = apiVersion.value === '' ? 'v1' : apiVersion.value;
      return [{ type: 'kms', name: name.value, endpoint: endpoint.value, apiVersion: version }];
    }
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return provider.keys.map((key) => ({
        type: provider.type,
        keyName: key.name.value,
        secret: withoutBreaks(key.secret.value),
      }));
  }
}

/** Line breaks don't count in base64, nor may they when material is compared. */
function withoutBreaks(secret: string): string {
  return secret.replace(/[\r\n]/g, '');
}

/** The source as it writes what an entry names, with its material: another key of the same name isn't the source. */
function sourceMatcher({ file, migrated }: Scope, entry: EntryModel): (link: Link) => boolean {
  const sources = new Set<string>();
  for (const { value } of entry.resources) {
    const name = canonicalResource(value);
    if (!migrated.has(name)) continue;
    const writing = file.entries.find((other) =>
      other.resources.some((field) => canonicalResource(field.value) === name),
    );
    const link = writing?.providers[0] === undefined ? undefined : linksOf(writing.providers[0])[0];
    sources.add(JSON.stringify(link));
  }
  return (link) => sources.has(JSON.stringify(link));
}

export function linkMatcher(target: ProviderEntry): (link: Link) => boolean {
  return (link) => {
    if (target.type === 'identity' || link.type === 'identity') return target.type === link.type;
    if (target.type === 'kms') {
      return (
        link.type === 'kms' &&
        link.apiVersion === 'v2' &&
        target.name === link.name &&
        target.endpoint === link.endpoint
      );
    }
    return (
      link.type === target.type &&
      target.keyName === link.keyName &&
      withoutBreaks(target.secret) === link.secret
    );
  };
}

/** The name under which an edit's source or target stands in a file. */
export function refOfEntry(entry: ProviderEntry): ProviderRef {
  switch (entry.type) {
    case 'identity':
      return { type: 'identity' };
    case 'kms':
      return { type: 'kms', name: entry.name };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { type: entry.type, keyName: entry.keyName };
  }
}
