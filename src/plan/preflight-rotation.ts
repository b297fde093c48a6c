import { baseKeyId } from './generation.ts';
import { failed, type Check, type KeyVersions, type NodeFindings } from './preflight.ts';
import type { Rotation } from './rotation.ts';

/** Of a rotation: whether every node's plugin is led, and all go from one version to the same newer one. */
export function rotationChecks(nodes: readonly NodeFindings[]): Check[] {
  const troubled = nodes.flatMap(({ node, rotation }) =>
    rotation !== undefined && 'trouble' in rotation ? [failed(`rotation on ${node}`, rotation.trouble)] : [],
  );
  const versions = versionsOf(nodes);
  return versions.length === 0 || troubled.length > 0 ? troubled : [newerVersion(versions)];
}

/** A rotation's key ids, where the plugins know two versions between them: an older one, and the newest. */
export function rotationOf(nodes: readonly NodeFindings[]): Rotation | undefined {
  const { older, newest } = sortedOut(versionsOf(nodes));
  const [source] = older;
  const [target] = newest;
  return source === undefined || target === undefined || basesOf([...older]).size > 1 || newest.size > 1
    ? undefined
    : { source, target };
}

function versionsOf(nodes: readonly NodeFindings[]): KeyVersions[] {
  return nodes.flatMap(({ rotation }) =>
    rotation !== undefined && 'answer' in rotation ? [rotation.answer] : [],
  );
}

interface SortedOut {
  /** Key ids that are announced. */
  announced: ReadonlySet<string>;
  /** Those among them that aren't of the newest version. */
  older: ReadonlySet<string>;
  /** Of the newest version, without generations. */
  newest: ReadonlySet<string>;
}

function sortedOut(versions: readonly KeyVersions[]): SortedOut {
  const announced = new Set(versions.map((one) => one.announced));
  const newest = basesOf(versions.map((one) => one.newest));
  return { announced, newest, older: new Set([...announced].filter((one) => !newest.has(baseKeyId(one)))) };
}

function basesOf(keyIds: readonly string[]): ReadonlySet<string> {
  return new Set(keyIds.map(baseKeyId));
}

function newerVersion(versions: readonly KeyVersions[]): Check {
  const name = 'one newer version of the key on every node';
  const { announced, older, newest } = sortedOut(versions);
  const announce = [...announced].join(' and ');
  // A plugin asks its key service once a minute.
  if (newest.size > 1) {
    return {
      name,
      outcome: 'fail',
      detail: `plugins see ${[...newest].join(' and ')} as the newest`,
      passing: true,
      remedy: 'give the plugin of every node the same configuration',
    };
  }
  if (basesOf([...older]).size > 1) {
    return {
      name,
      outcome: 'fail',
      detail: `plugins announce ${announce}, and the newest is ${[...newest].join()}`,
      remedy:
        "give every node's plugin the ledger of one of them, and start the plugins again: a rotation goes from one version to one other",
    };
  }
  if (older.size === 0) {
    return {
      name,
      outcome: 'fail',
      detail: `${announce} is announced, and the key service has no newer version`,
      passing: true,
      remedy: 'rotate the key in its key service first; for another key, write another entry as target',
    };
  }
  if (announced.size > 1) {
    return {
      name,
      outcome: 'warn',
      detail: `plugins announce ${announce}: their API servers rewrite each other's objects`,
      remedy: 'nothing: every plugin is brought back to one key id first, and then to the newest version',
    };
  }
  return { name, outcome: 'pass', detail: `from ${announce} to ${[...newest].join()}` };
}
