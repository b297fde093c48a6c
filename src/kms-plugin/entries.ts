import { normalize } from 'node:path';
import { parseGoDuration, type EncryptionConfiguration } from '../encryption-config/index.ts';
import type { Check } from '../plan/preflight.ts';
import { socketPathOf } from './endpoint.ts';
import { defaultTimeoutMs } from './examination.ts';
import { socketAccess } from './socket-access.ts';

/** A kms v2 entry of an EncryptionConfiguration. */
export interface PluginEntry {
  readonly name: string;
  readonly endpoint: string;
  /** A Go duration; Kubernetes' 3s when absent. */
  readonly timeout?: string;
}

/** The kms v2 entries of a file, in its order. */
export function pluginEntries({ entries }: EncryptionConfiguration): PluginEntry[] {
  return entries.flatMap(({ providers }) =>
    providers.flatMap((provider) =>
      provider.type === 'kms' && provider.apiVersion === 'v2' ? [provider] : [],
    ),
  );
}

/** How long an API server waits for the entry's plugin, in milliseconds. */
export function timeoutOf({ timeout }: PluginEntry): number {
  const nanoseconds = timeout === undefined ? undefined : parseGoDuration(timeout);
  return nanoseconds === undefined ? defaultTimeoutMs : Math.ceil(nanoseconds / 1e6);
}

/**
 * Whether two entries share a socket, by whatever paths, or a name. (An API server refuses a name that is there twice, and
 * takes two names at one socket: it then asks the same plugin as two, and takes what one sealed for stale to the other.)
 */
export async function checkEntries(entries: readonly PluginEntry[]): Promise<Check> {
  const name = 'entries apart';
  const sockets = await Promise.all(entries.map(({ endpoint }) => socketOf(endpoint)));
  const shared = entries.flatMap((entry, i) =>
    entries.slice(0, i).flatMap((other, j) => {
      const what = [
        ...(entry.name === other.name ? ['name'] : []),
        ...(sockets[i] === sockets[j] ? ['socket'] : []),
      ];
      return what.length === 0
        ? []
        : [`${JSON.stringify(other.name)} and ${JSON.stringify(entry.name)} share a ${what.join(' and a ')}`];
    }),
  );
  if (shared.length === 0) {
    return { name, outcome: 'pass', detail: `${entries.length} kms entries, no name and no socket twice` };
  }
  return {
    name,
    outcome: 'fail',
    detail: shared.join('; '),
    remedy: 'give each entry a name of its own, and a plugin of its own at a socket of its own',
  };
}

/** What tells a socket from another: the file itself where it is there, its path where it isn't. */
async function socketOf(endpoint: string): Promise<string> {
  let path: string;
  try {
    path = normalize(socketPathOf(endpoint));
  } catch {
    return endpoint;
  }
  return (await socketAccess(path))?.identity ?? path;
}
