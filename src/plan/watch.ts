/** What one look showed of an API server. */
export interface ServerLook {
  name: string;
  /** `sha256:…` of the encryption configuration that it has loaded. */
  hash?: string;
  /** When its process started, in seconds since the epoch. */
  startedAt?: number;
  /** How often that process has taken up a changed file. */
  reloads?: number;
  /** Its identity, hashed: what its Lease is known by. */
  identity?: string;
  /** Why it could not be looked at, where it did not answer. */
  silent?: string;
}

/** What one look showed of all API servers. */
export interface ClusterLook {
  servers: readonly ServerLook[];
  /** Live API servers that the spec doesn't list, in words. */
  strangers: readonly string[];
}

/** What an API server was when it was seen to have loaded its file. */
export interface Loaded {
  /** When its process started, in seconds since the epoch. */
  startedAt: number;
  /** How often that process has taken up a changed file. */
  reloads: number;
  identity?: string;
}

/** What an API server may be seen to be without anything being wrong. */
export interface Expected {
  /** What it may run, `sha256:…` each. */
  hashes: readonly string[];
  /** Absent while it is taking up a file. */
  loaded?: Loaded;
}

/** How an API server differs from what it is expected to be. */
export interface Change {
  server: string;
  /** `restarted`: another process, with the same configuration. `drifted`: it runs, or ran meanwhile, another one. */
  kind: 'restarted' | 'drifted';
  why: string;
}

/** A clock that is set shifts what a process tells of its start; no API server restarts within so many seconds. */
const SAME_START_SECONDS = 2;

/**
 * How the servers differ from what they are expected to be. One that is silent doesn't: it seals nothing, and when it
 * is back its process is the same or another.
 */
export function changesIn(look: ClusterLook, expected: Readonly<Record<string, Expected>>): Change[] {
  return look.servers.flatMap((server): Change[] => {
    const wanted = expected[server.name];
    if (wanted === undefined || server.silent !== undefined) return [];
    const { name } = server;
    if (server.hash === undefined || !wanted.hashes.includes(server.hash)) {
      const instead = wanted.hashes.map(short).join(' or ');
      return [
        { server: name, kind: 'drifted', why: `${name} runs ${short(server.hash)} instead of ${instead}` },
      ];
    }
    if (wanted.loaded === undefined) return [];
    if (Math.abs((server.startedAt ?? 0) - wanted.loaded.startedAt) > SAME_START_SECONDS)
      return [{ server: name, kind: 'restarted', why: `${name} was restarted` }];
    if (server.reloads === wanted.loaded.reloads) return [];
    return [
      {
        server: name,
        kind: 'drifted',
        why: `${name} took up another configuration, and then this one again`,
      },
    ];
  });
}

function short(hash: string | undefined): string {
  return hash === undefined ? 'no configuration' : hash.slice(0, 'sha256:'.length + 12);
}
