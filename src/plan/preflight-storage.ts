import type { StorageVersion } from '../cluster/storage-version.ts';
import type { Explanation } from '../cluster/refusal.ts';
import { judged, type Asked, type Check } from './preflight.ts';
import { comparable, dissenters, oldVersions, storedResource, versionIn } from './stored-resource.ts';

/** Judges whether a resource has a storage version that all API servers agree on. */
export function judgeStorageVersion(name: string, asked: Asked<StorageVersion>): Check {
  return judged(`storage version of ${name}`, asked, (found) => {
    const { resource, definition, servers } = found;
    const version = versionIn(resource.apiVersion);
    const stored = definition?.versions.find((one) => one.name === version);
    if (stored?.served === false) {
      return {
        outcome: 'fail',
        detail: `${version} is the storage version, and isn't served: nothing can be written by it`,
        remedy: `set served: true on ${version} in ${definition?.name ?? name}`,
      };
    }
    const gone = (definition?.storedVersions ?? []).filter(
      (one) => !definition?.versions.some((known) => known.name === one),
    );
    if (gone.length > 0) {
      return {
        outcome: 'fail',
        detail: `status.storedVersions names ${gone.join(', ')}, which spec.versions doesn't have: an API server can't read what lies in it`,
        remedy: `add ${gone.join(', ')} to spec.versions of ${definition?.name ?? name} again, served or not`,
      };
    }
    const others = dissenters(found, servers);
    if (others.length > 0) {
      return {
        outcome: 'fail',
        detail: `it is to be ${resource.apiVersion}, but ${others.join('; ')}`,
        passing: true,
        remedy:
          'see that each of these API servers is well and follows changes of definitions; a restart makes it read them anew',
      };
    }
    const all = `${resource.apiVersion} on ${servers.length} API servers`;
    if (definition === undefined)
      return { outcome: 'pass', detail: `${all}; built in, so there is nothing to trim` };
    const old = oldVersions(storedResource(found));
    return {
      outcome: 'pass',
      detail:
        old.length === 0
          ? `${all}, and the only one in status.storedVersions: there is nothing to trim`
          : `${all}; status.storedVersions says that objects may lie in ${old.join(', ')} too`,
    };
  });
}

/** What was tried of a resource's conversion: in each served version, through each API server. */
export interface ConversionFindings {
  tried: number;
  troubles: (Explanation & { object: string; apiServer: string; apiVersion: string })[];
}

/** Judges whether objects can be read in every version, and keep what they say when they are converted. */
export function judgeConversions(found: StorageVersion, asked: Asked<ConversionFindings>): Check | undefined {
  const { definition, resource } = found;
  if (definition === undefined || definition.versions.length < 2) return undefined;
  return judged(`conversion of ${resource.name}`, asked, ({ tried, troubles }) => {
    const [first] = troubles;
    if (first !== undefined) {
      const told = troubles
        .slice(0, 3)
        .map((one) => `${one.object} as ${one.apiVersion} through ${one.apiServer}: ${one.reason}`);
      return { outcome: 'fail', detail: told.join('; '), passing: true, remedy: first.remedy };
    }
    const by = definition.conversion === 'Webhook' ? 'its webhook' : 'the strategy None';
    const stored = storedResource(found);
    const hidden = oldVersions(stored).length - comparable(stored).length;
    if (hidden > 0) {
      return {
        outcome: 'warn',
        detail: `${hidden} old versions aren't served: whether objects that lie in them keep all that they say can't be compared`,
        remedy: 'set served: true on them until the old versions are trimmed',
      };
    }
    return { outcome: 'pass', detail: `${tried} objects keep what they say when converted by ${by}` };
  });
}

/** Judges whether values at rest say which version they lie in. */
export function judgeAtRest(name: string, asked: Asked<{ values: number; sealed: number }>): Check {
  return judged(`versions at rest of ${name}`, asked, ({ values, sealed }) =>
    sealed === 0
      ? { outcome: 'pass', detail: values === 0 ? 'no objects' : `told by ${values} of ${values} values` }
      : {
          outcome: 'fail',
          detail: `${sealed} of ${values} values are encrypted, and without their keys nobody can tell in which version they lie`,
          remedy:
            'give spec.cluster.encryptionConfiguration and run an agent on each node: it opens them with what its API server has; where they are given, see that the file on the node opens them',
        },
  );
}
