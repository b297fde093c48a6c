import { baseKeyId } from './generation.ts';
import type { Check, KeyVersions, NodeFindings } from './preflight.ts';
import { commonKeyId, type Rotation } from './rotation.ts';

/** Of a rotation: whether every node's plugin is led, and all go from one version to the same newer one. */
export function rotationChecks(nodes: readonly NodeFindings[]): Check[] {
  const checks: Check[] = [];
  for (const { node, rotation } of nodes) {
    if (rotation === undefined || 'answer' in rotation) continue;
    const { message, remedy, retryable } = rotation.trouble;
    checks.push({
      name: `rotation on ${node}`,
      outcome: 'fail',
      detail: message,
      remedy,
      ...(retryable === true ? { passing: true } : {}),
    });
  }
  const versions = versionsOf(nodes);
  if (versions.length === 0 || checks.length > 0) return checks;
  return [newerVersion(versions)];
}

/** A rotation's key ids, where every node's plugin names the same versions. */
export function rotationOf(nodes: readonly NodeFindings[]): Rotation | undefined {
  const versions = versionsOf(nodes);
  const [from, ...elsewhere] = new Set(versions.map(({ announced }) => announced));
  const bases = new Set(versions.map(({ newest }) => baseKeyId(newest)));
  if (from === undefined || elsewhere.length > 0 || bases.size > 1) return undefined;
  return { source: from, target: commonKeyId(versions.map(({ newest }) => newest)) ?? from };
}

function versionsOf(nodes: readonly NodeFindings[]): KeyVersions[] {
  return nodes.flatMap(({ rotation }) =>
    rotation !== undefined && 'answer' in rotation ? [rotation.answer] : [],
  );
}

function newerVersion(versions: readonly KeyVersions[]): Check {
  const name = 'one newer version of the key on every node';
  const announced = [...new Set(versions.map((one) => one.announced))];
  const newest = [...new Set(versions.map((one) => baseKeyId(one.newest)))];
  if (announced.length > 1) {
    return {
      name,
      outcome: 'fail',
      detail: `plugins announce ${announced.join(' and ')}`,
      remedy:
        "give every node's plugin the ledger of one of them, and start the plugins again: servers on two key ids rewrite each other's objects",
    };
  }
  // A plugin asks its key service once a minute.
  if (newest.length > 1) {
    return {
      name,
      outcome: 'fail',
      detail: `plugins see ${newest.join(' and ')} as the newest`,
      passing: true,
      remedy: "give every node's plugin the same configuration, and the same history",
    };
  }
  const [from = '', to = ''] = [announced[0], newest[0]];
  if (baseKeyId(from) === to) {
    return {
      name,
      outcome: 'fail',
      detail: `${from} is announced, and the key service has no newer version`,
      passing: true,
      remedy: 'rotate the key in its key service first; for another key, write another entry as target',
    };
  }
  return { name, outcome: 'pass', detail: `from ${from} to ${to}` };
}
