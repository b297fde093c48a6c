/** What one look showed of an API server. */
export interface ServerLook {
  name: string;
  /** `sha256:…` of the encryption configuration that it has loaded. */
  hash?: string;
  /** When its process started, in seconds since the epoch. */
  startedAt?: number;
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

/** What an API server was when it was last proven. */
export interface Proven {
  hash: string;
  startedAt: number;
  identity?: string;
}

/** How an API server differs from what it was when it was proven. */
export interface Change {
  server: string;
  why: string;
  /** The configuration that it runs now, where that is what changed. */
  hash?: string;
}

/** A clock that is set shifts what a process tells of its start; no API server restarts within so many seconds. */
const SAME_START_SECONDS = 2;

/**
 * What changed since the servers were proven. One that is silent is no change: it seals nothing, and when it is back its
 * process is the same or another.
 */
export function changesSince(proven: Readonly<Record<string, Proven>>, look: ClusterLook): Change[] {
  return look.servers.flatMap((server): Change[] => {
    const before = proven[server.name];
    if (before === undefined || server.silent !== undefined) return [];
    if (server.hash !== before.hash) {
      const runs = server.hash === undefined ? 'no known configuration' : short(server.hash);
      return [
        {
          server: server.name,
          why: `${server.name} runs ${runs} instead of ${short(before.hash)}`,
          ...(server.hash === undefined ? {} : { hash: server.hash }),
        },
      ];
    }
    if (Math.abs((server.startedAt ?? 0) - before.startedAt) <= SAME_START_SECONDS) return [];
    return [{ server: server.name, why: `${server.name} was restarted` }];
  });
}

function short(hash: string): string {
  return hash.slice(0, 'sha256:'.length + 12);
}
