import {
  canonicalResource,
  formatGroupResource,
  isWildcard,
  parseGroupResource,
  wildcardsOver,
} from './group-resource.ts';
import { shown, type ProblemList } from './problems.ts';
import type { EntryModel, Field, FileModel } from './model.ts';

/** Kept in etcd as allocations, without an API of their own to encrypt and decrypt them. */
const withoutApi = ['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations'];

export function checkResources(entry: EntryModel, problems: ProblemList): void {
  const path = `${entry.path}.resources`;
  if (entry.resources.length === 0) {
    problems.error(path, entry.at, 'this entry names no resource', 'Name at least one, or remove the entry.');
  }
  for (const resource of entry.resources) if (!resource.broken) checkName(resource, problems);
  checkOverlap(entry.resources, problems);
}

function checkName({ value, at, path }: Field, problems: ProblemList): void {
  const { resource, group } = parseGroupResource(value);
  const say = (message: string, remedy: string): void => problems.error(path, at, message, remedy);
  if (value.toLowerCase() !== value) {
    say(
      `${shown(value)} holds capital letters, which no resource has`,
      'Write the plural name in lower case.',
    );
  } else if (value === '*') {
    say(
      '"*" alone is not a wildcard',
      'Write "*." for the core group, "*.<group>" for another, or "*.*" for everything.',
    );
  } else if (withoutApi.includes(value)) {
    say(`${shown(value)} has no REST API, so kube-apiserver never encrypts it`, 'Remove it from the list.');
  } else if (group === 'events.k8s.io') {
    say('events of the group events.k8s.io lie in etcd as core events', 'Write "events" instead.');
  } else if (group === 'extensions') {
    say(
      'the group "extensions" is no longer part of Kubernetes',
      'Name the resource by the group it has now.',
    );
  } else if (group === '*' && resource !== '*') {
    say(
      `${shown(value)} means one resource name in every group, which is not supported`,
      'Name each group of its own.',
    );
  } else if (resource === '') {
    problems.warning(path, at, 'this names no resource', 'Write a resource, such as secrets.');
  }
}

/** Within one list a wildcard would mask what it covers. */
function checkOverlap(resources: readonly Field[], problems: ProblemList): void {
  const names = resources.filter((field) => !field.broken);
  const seen = new Set<string>();
  for (const { value, at, path } of names) {
    const name = canonicalResource(value);
    if (seen.has(name)) {
      problems.error(path, at, `${shown(value)} stands twice in this list`, 'Keep one of the two.');
    }
    seen.add(name);
  }
  for (const { value, at, path } of names) {
    const name = canonicalResource(value);
    const over = wildcardsOver(value).find((wildcard) => wildcard !== name && seen.has(wildcard));
    if (over === undefined) continue;
    const message = `${shown(value)} and ${shown(over)} overlap in one list, where the wildcard would mask the other`;
    problems.error(path, at, message, 'Put the wildcard into an entry of its own, after the others.');
  }
}

/** Over all entries: a wildcard takes effect from where it stands, so nothing it covers may come later. */
export function checkMasking(file: FileModel, problems: ProblemList): void {
  const wildcards = new Map<string, Field>();
  for (const entry of file.entries) {
    for (const field of entry.resources) {
      if (field.broken) continue;
      const mask = wildcardsOver(field.value).find((wildcard) => wildcards.has(wildcard));
      if (mask === undefined) continue;
      const name = formatGroupResource(parseGroupResource(field.value));
      const message = `${shown(name)} is masked by ${shown(mask)} in ${wildcards.get(mask)?.path ?? 'an earlier entry'}: it would never take effect`;
      problems.error(field.path, field.at, message, 'Move this entry before the one with the wildcard.');
    }
    // Overlaps within the entry have been told of: its wildcards count for the entries after it.
    for (const field of entry.resources) {
      const name = canonicalResource(field.value);
      if (!field.broken && isWildcard(field.value) && !wildcards.has(name)) wildcards.set(name, field);
    }
  }
}
