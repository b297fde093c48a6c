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
  /** The key id that each kms provider's plugin last told it, `sha256:…` of it, by the provider's name. */
  keyIdHashes?: Readonly<Record<string, string>>;
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

/** What API servers were proven to seal with. */
export interface SealingKey {
  /** The name of the kms provider. */
  provider: string;
  /** `sha256:…` of the key id. */
  keyIdHash: string;
}

/** What an API server may be seen to be without anything being wrong. */
export interface Expected {
  /** What it may run, `sha256:…` each. */
  hashes: readonly string[];
  /** Absent while it is taking up a file. */
  loaded?: Loaded;
  /** Absent where it doesn't seal by a plugin, and while that is being proven. */
  sealing?: SealingKey | undefined;
}

/** How an API server differs from what it is expected to be. */
export interface Change {
  server: string;
  /**
   * `restarted`: another process, with the same configuration. `drifted`: it runs, or ran meanwhile, another one, or seals
   * with another key id.
   */
  kind: 'restarted' | 'drifted';
  why: string;
  /** Whether it is the key id that is another one. */
  byKeyId?: true;
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
    const { sealing } = wanted;
    // A process that has just started hasn't been told any.
    const told = sealing && server.keyIdHashes?.[sealing.provider];
    if (sealing !== undefined && told !== undefined && told !== sealing.keyIdHash) {
      const why = `${name} was told another key id by its plugin for kms ${sealing.provider} (${short(told)}) than the one it was proven with (${short(sealing.keyIdHash)})`;
      return [{ server: name, kind: 'drifted', why, byKeyId: true }];
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
