import { KeyferryError } from '../errors.ts';
import { formatProviderRef, sameProvider } from './chain.ts';
import { canonicalResource, isWildcard, wildcardsOver } from './group-resource.ts';
import type { EntryModel, FileModel } from './model.ts';
import { InvalidEncryptionConfigurationError, parseModel } from './parse.ts';
import { linkMatcher, linksOf, refOfEntry, sharedKms, type EditedArrangement, type Link } from './plan.ts';
import { notEditable } from './splice.ts';
import type { ArrangementEdit, ProviderEntry, ProviderRef } from './types.ts';

/**
 * Whether an edit fits a valid file.
 *
 * @throws KeyferryError with the reason and the way out
 */
export function checkEdit(file: FileModel, { resources, source, target }: ArrangementEdit): void {
  if (resources.length === 0) {
    throw new KeyferryError('EncryptionConfigurationNoResources', 'The migration names no resource.', {
      remedy: 'Name at least one, such as secrets.',
    });
  }
  if (file.aliased !== undefined) notEditable();
  if (sameProvider(source, refOfEntry(target))) {
    throw new KeyferryError(
      'EncryptionConfigurationSameProvider',
      `Source and target are the same provider: ${formatProviderRef(source)}.`,
      { remedy: 'Give the target another name. To change the key within a kms provider, rotate it instead.' },
    );
  }
  for (const resource of resources) {
    checkWildcard(file, resource);
    checkSource(file, resource, source);
    if (target.type === 'kms') checkSideBySide(file, resource, source, target.name);
    else checkPrefix(file, resource, target);
  }
  if (target.type === 'kms') checkKmsTarget(file, new Set(resources.map(canonicalResource)), target);
}

function checkWildcard(file: FileModel, resource: string): void {
  const listed = entriesOf(file, resource).length > 0;
  const over = isWildcard(resource)
    ? resource
    : wildcardsOver(resource).find((name) => entriesOf(file, name).length > 0);
  if (over === undefined || (listed && !isWildcard(resource))) return;
  const name = JSON.stringify(resource);
  throw new KeyferryError(
    'EncryptionConfigurationWildcard',
    over === resource
      ? `${name} is a wildcard, and a migration moves resources that are named.`
      : `${name} is covered by the wildcard ${JSON.stringify(over)} alone, which holds for other resources too.`,
    {
      remedy:
        'List each resource to be migrated by name in an entry before the wildcard, with the same providers.',
    },
  );
}

function checkSource(file: FileModel, resource: string, source: ProviderRef): void {
  const chain = linksFor(file, resource);
  const writer = refOfLink(chain[0] ?? { type: 'identity' });
  if (sameProvider(writer, source)) return;
  const name = JSON.stringify(resource);
  if (!chain.some((link) => sameProvider(refOfLink(link), source))) {
    throw new KeyferryError(
      'EncryptionConfigurationSourceMissing',
      `${name} has no provider ${formatProviderRef(source)}; it is written with ${formatProviderRef(writer)}.`,
      { remedy: `Name as source what writes now, or leave ${name} out of the migration.` },
    );
  }
  throw new KeyferryError(
    'EncryptionConfigurationNotWriter',
    `${name} is written with ${formatProviderRef(writer)}, not with ${formatProviderRef(source)}, which only reads.`,
    { remedy: `Name as source what writes now, or leave ${name} out of the migration.` },
  );
}

/** Under a prefix that other material has, values of both can't be told apart; without authentication they open as garbage. */
function checkPrefix(file: FileModel, resource: string, target: ProviderEntry): void {
  const isTarget = linkMatcher(target);
  for (const link of linksFor(file, resource)) {
    if (target.type === 'identity' || target.type === 'kms' || link.type !== target.type || isTarget(link))
      continue;
    const [mine, theirs] = [`${target.keyName}:`, `${link.keyName}:`];
    if (!mine.startsWith(theirs) && !theirs.startsWith(mine)) continue;
    const same =
      mine === theirs
        ? 'has another key of this name'
        : `has the key ${JSON.stringify(link.keyName)}, and one name is how the other begins`;
    throw prefixInUse(`${JSON.stringify(resource)} ${same}`, formatProviderRef(refOfEntry(target)));
  }
}

/**
 * A migration runs two plugins side by side, and no more: an API server takes a file up only while each plugin that it names
 * is healthy. One that is there already, to read, may be the target: that is the way out of three.
 */
function checkSideBySide(file: FileModel, resource: string, source: ProviderRef, target: string): void {
  const there = new Map(
    linksFor(file, resource).flatMap((link) => (link.type === 'kms' ? [[link.name, link]] : [])),
  );
  if (there.size < 2 || there.has(target)) return;
  const others = [...there.values()].filter(({ name }) => source.type !== 'kms' || name !== source.name);
  const possible = others.find(({ apiVersion }) => apiVersion === 'v2');
  const first = possible === undefined ? '' : `, or migrate to ${JSON.stringify(possible.name)} first`;
  throw new KeyferryError(
    'EncryptionConfigurationThirdKms',
    `${JSON.stringify(resource)} has the kms providers ${[...there.keys()].map((name) => JSON.stringify(name)).join(' and ')} already: with ${JSON.stringify(target)} every API server would depend on ${there.size + 1} plugins at once, and a migration runs two side by side.`,
    {
      remedy: `Take ${others.map(({ name }) => JSON.stringify(name)).join(' or ')} out of the file once a census finds nothing under that name${first}.`,
    },
  );
}

function checkKmsTarget(
  file: FileModel,
  migrated: ReadonlySet<string>,
  target: Extract<ProviderEntry, { type: 'kms' }>,
): void {
  const isTarget = linkMatcher(target);
  for (const entry of file.entries) {
    for (const provider of entry.providers) {
      if (provider.type !== 'kms' || provider.kms.name.value !== target.name) continue;
      const what = formatProviderRef(refOfEntry(target));
      if (!linksOf(provider).every(isTarget)) {
        throw prefixInUse(`${provider.path} has this name with another endpoint or version`, what);
      }
      const others = entry.resources
        .map((field) => field.value)
        .filter((name) => !migrated.has(canonicalResource(name)));
      if (others.length > 0) throw sharedKms(target.name, others);
    }
  }
}

function prefixInUse(where: string, target: string): KeyferryError {
  return new KeyferryError(
    'EncryptionConfigurationPrefixInUse',
    `The target ${target} can't be told apart in etcd: ${where}.`,
    { remedy: 'Give the target a name that the file does not use yet.' },
  );
}

/**
 * Whether an edited text is what it should be: valid, the same for all other resources, and nothing lost for the
 * migrated ones. The text was edited by position, so this is proven rather than assumed.
 */
export function checkResult(
  original: FileModel,
  text: string,
  edit: ArrangementEdit,
  arrangement: EditedArrangement,
): void {
  const result = readResult(text, edit.target);
  const migrated = new Set(edit.resources.map(canonicalResource));
  const named = new Set(
    original.entries.flatMap((entry) => entry.resources.map((field) => canonicalResource(field.value))),
  );
  for (const resource of named) {
    if (
      !migrated.has(resource) &&
      fingerprint(linksFor(original, resource)) !== fingerprint(linksFor(result, resource))
    )
      notEditable();
  }
  const isTarget = linkMatcher(edit.target);
  for (const resource of migrated) {
    const before = linksFor(original, resource);
    const after = linksFor(result, resource);
    const [source] = before;
    const writer = after[0];
    if (source === undefined || writer === undefined) notEditable();
    const isSource = (link: Link): boolean => fingerprint([link]) === fingerprint([source]);
    const lost = before.filter(
      (link) => !after.some((other) => fingerprint([other]) === fingerprint([link])),
    );
    const right = {
      'target-reads': isSource(writer) && after.some(isTarget) && lost.length === 0,
      'target-writes': isTarget(writer) && lost.length === 0,
      'target-only': isTarget(writer) && lost.every(isSource) && !after.some(isSource),
    };
    if (!right[arrangement]) notEditable();
  }
}

function readResult(text: string, target: ProviderEntry): FileModel {
  try {
    return parseModel(text, { kmsV1: true });
  } catch (error) {
    const problem =
      error instanceof InvalidEncryptionConfigurationError
        ? error.problems.find((each) => each.severity === 'error')
        : undefined;
    if (problem === undefined) throw error;
    // The original is valid, so it is the target that isn't: its endpoint, the length of its key.
    throw new KeyferryError(
      'EncryptionConfigurationTargetInvalid',
      `With the target ${formatProviderRef(refOfEntry(target))} the file would not be valid: ${problem.path}: ${problem.message}.`,
      { remedy: problem.remedy },
    );
  }
}

function linksFor(file: FileModel, resource: string): Link[] {
  const entries = entriesOf(file, resource);
  return entries.length === 0
    ? [{ type: 'identity' }]
    : entries.flatMap((entry) => entry.providers.flatMap(linksOf));
}

function entriesOf(file: FileModel, resource: string): EntryModel[] {
  const name = canonicalResource(resource);
  return file.entries.filter((entry) =>
    entry.resources.some((field) => canonicalResource(field.value) === name),
  );
}

function refOfLink(link: Link): ProviderRef {
  switch (link.type) {
    case 'identity':
      return { type: 'identity' };
    case 'kms':
      return { type: 'kms', name: link.name };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { type: link.type, keyName: link.keyName };
  }
}

function fingerprint(links: readonly Link[]): string {
  return JSON.stringify(links);
}
