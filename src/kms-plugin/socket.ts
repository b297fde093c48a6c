import { chmod, link, lstat, mkdtemp, rename, rm, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { KeyferryError } from '../errors.ts';
import { systemErrorCode } from '../keys/system-error.ts';
import { maxSocketPathBytes } from './endpoint.ts';

/** A socket that listens at its path; `release` takes the path away, unless another has taken it over meanwhile. */
export interface PrivateSocket {
  release(): Promise<void>;
}

/** What a socket's own path needs on top while it is being bound: see {@link listenPrivately}. */
const folderPrefix = '.kf';
const boundName = 's';

/** Whether a socket at this path can be bound by {@link listenPrivately}: the path it is bound at first is longer, or shorter. */
export function fitsSocketPath(path: string): boolean {
  const first = join(dirname(path), `${folderPrefix}XXXXXX`, boundName);
  return Math.max(Buffer.byteLength(path), Buffer.byteLength(first)) <= maxSocketPathBytes;
}

/**
 * Binds a unix socket so that nobody but this user can open it, at no time.
 *
 * It is bound inside a folder of mode 0700, set to 0600 there, and only then linked to its path. (The umask would do, but
 * it is the whole process's, and listening isn't synchronous here.) `link` fails where something has come to stand at the
 * path, so of two plugins that start at once, one is told.
 *
 * A socket left by a dead process is taken over; one that somebody listens at is not.
 *
 * @param bind - listens at the path it is given
 * @throws KeyferryError `RefusedSocketInUse`, `RefusedSocketPath`
 */
export async function listenPrivately(
  path: string,
  bind: (path: string) => Promise<void>,
): Promise<PrivateSocket> {
  const stale = await staleSocketAt(path);
  const folder = await mkdtemp(join(dirname(path), folderPrefix)).catch((error: unknown) => {
    throw badPath(path, `its folder can't be written (${codeOf(error)})`);
  });
  try {
    const bound = join(folder, boundName);
    await bind(bound);
    await chmod(bound, 0o600);
    const { ino, dev } = await lstat(bound);
    if (stale !== undefined) await moveAside(path, stale.ino, join(folder, 'stale'));
    await link(bound, path).catch((error: unknown) => {
      throw codeOf(error) === 'EEXIST' ? inUse(path) : badPath(path, codeOf(error));
    });
    return {
      release: async () => {
        const now = await lstat(path).catch(() => undefined);
        if (now?.ino === ino && now.dev === dev) await unlink(path);
      },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The dead socket at the path, if there is one. */
async function staleSocketAt(path: string): Promise<{ ino: number } | undefined> {
  const entry = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw badPath(path, codeOf(error));
  });
  if (entry === undefined) return undefined;
  if (!entry.isSocket()) throw badPath(path, 'something that is not a socket stands there');
  const outcome = await tryConnecting(path);
  if (outcome === 'ECONNREFUSED') return entry;
  if (outcome === 'ENOENT') return undefined;
  if (outcome === 'connected') throw inUse(path);
  throw badPath(path, `whether somebody listens there can't be found out (${outcome})`);
}

/** Takes the dead socket away; if another plugin was quicker and this is its live one, puts it back. */
async function moveAside(path: string, ino: number, aside: string): Promise<void> {
  await rename(path, aside).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw badPath(path, codeOf(error));
  });
  const moved = await lstat(aside).catch(() => undefined);
  if (moved === undefined || moved.ino === ino) return;
  await link(aside, path).catch(() => undefined);
  throw inUse(path);
}

function tryConnecting(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.setTimeout(1_000, () => {
      socket.destroy();
      resolve('ETIMEDOUT');
    });
    socket.once('connect', () => {
      socket.destroy();
      resolve('connected');
    });
    socket.once('error', (error) => resolve(codeOf(error)));
  });
}

function inUse(path: string): KeyferryError {
  return new KeyferryError('RefusedSocketInUse', `another process listens at ${path}`, {
    remedy: 'stop the plugin that runs already, or give this one another socket',
  });
}

function badPath(path: string, why: string): KeyferryError {
  return new KeyferryError('RefusedSocketPath', `can't listen at ${path}: ${why}`, {
    remedy: `make the folder ${dirname(path)} for this user, and let ${basename(path)} in it be a socket or nothing`,
  });
}

function codeOf(error: unknown): string {
  return systemErrorCode(error) ?? 'unknown error';
}
