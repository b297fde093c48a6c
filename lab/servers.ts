import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { KeyferryError } from '../src/errors.ts';
import { buildServer } from './server-build.ts';
import {
  pinnedVersion,
  serverModules,
  versionFits,
  type ServerModule,
  type ServerName,
} from './server-modules.ts';

const run = promisify(execFile);

/** Prints one line of progress. */
export type Say = (line: string) => void;

/**
 * The path of a server's binary. Looked for in this order: its environment variable, KUBEBUILDER_ASSETS (etcd and
 * kube-apiserver), PATH, the cache, and if it is nowhere it is built with Go into the cache.
 *
 * @throws KeyferryError `LabServerUnfit` when the variable names a binary that can't be used, `LabGoMissing` and
 * `LabBuild` when it can't be built
 */
export async function findServer(
  which: ServerName | ServerModule,
  say: Say,
  signal?: AbortSignal,
): Promise<string> {
  const server = typeof which === 'string' ? serverModules[which] : which;
  const { name } = server;
  const named = process.env[server.env];
  if (named !== undefined && named !== '') {
    const file = resolve(named);
    const unfit = await whyUnfit(server, file);
    if (unfit === undefined) return file;
    throw new KeyferryError('LabServerUnfit', `${server.env} names ${file}: ${unfit}.`, {
      remedy: `Point ${server.env} at a fitting ${name}, or unset it to have one built.`,
    });
  }
  for (const candidate of candidates(server)) {
    if (!isExecutable(candidate)) continue;
    const unfit = await whyUnfit(server, candidate);
    if (unfit === undefined) return candidate;
    say(`${name}: not using ${candidate}: ${unfit}`);
  }
  const cached = join(cacheDir(), `${name}-${pinnedVersion(server)}`);
  if (!isExecutable(cached)) await buildServer(server, cached, say, signal);
  return cached;
}

/** Where built servers are kept: `$KEYFERRY_CACHE/bin`, or `~/.cache/keyferry/bin`. */
export function cacheDir(): string {
  return join(process.env['KEYFERRY_CACHE'] ?? join(homedir(), '.cache', 'keyferry'), 'bin');
}

function candidates(server: ServerModule): string[] {
  if (server.versionArgs === undefined) return [];
  const assets = process.env['KUBEBUILDER_ASSETS'];
  return [
    ...(server.inKubebuilderAssets && assets !== undefined && assets !== '' ? [assets] : []),
    ...(process.env['PATH'] ?? '').split(delimiter).filter((dir) => dir !== ''),
  ].map((dir) => join(dir, server.name));
}

async function whyUnfit(server: ServerModule, file: string): Promise<string | undefined> {
  if (!isExecutable(file)) return 'there is no such program';
  if (server.versionArgs === undefined) return undefined;
  let output: string;
  try {
    const { stdout, stderr } = await run(file, server.versionArgs, { timeout: 20_000 });
    output = `${stdout}\n${stderr}`;
  } catch {
    return 'it does not tell its version';
  }
  if (versionFits(server, output)) return undefined;
  const said = output.trim().split('\n')[0] ?? '';
  return `it says "${said}", and ${server.minimum.join('.')} or newer is needed (${server.minimumWhy})`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
