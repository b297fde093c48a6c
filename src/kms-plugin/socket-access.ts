import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Who may reach a socket, by the file system. */
export interface SocketAccess {
  /** Permission bits of the socket: `w` is what connecting needs. */
  readonly mode: number;
  /** Whether users besides owner and group can enter every folder on the way to it. */
  readonly open: boolean;
  /** Permission bits of its folder, sticky bit included. */
  readonly folderMode: number;
  /** Tells one socket from another, whatever path leads there. */
  readonly identity: string;
}

/** What the file system says of a socket; `undefined` when there is none, or this user may not look. */
export async function socketAccess(path: string): Promise<SocketAccess | undefined> {
  try {
    const socket = await stat(path);
    if (!socket.isSocket()) return undefined;
    const folders: number[] = [];
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      folders.push((await stat(folder)).mode);
      if (folder === dirname(folder)) break;
    }
    return {
      mode: socket.mode & 0o777,
      open: folders.every((mode) => (mode & 0o001) !== 0),
      folderMode: (folders[0] ?? 0) & 0o1777,
      identity: `${socket.dev}:${socket.ino}`,
    };
  } catch {
    return undefined;
  }
}
