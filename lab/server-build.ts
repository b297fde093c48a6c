import { execFile, spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { KeyferryError } from '../src/errors.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';
import { moduleDir, pinnedVersion, type ServerModule } from './server-modules.ts';
import { logTail, waitFor } from './wait.ts';

const run = promisify(execFile);

/** A cold build on a small machine, and half as much again. */
const BUILD_WITHIN_MS = 30 * 60_000;

/**
 * Builds a server with Go from its committed go.mod and go.sum, which pin every module by hash. The tree is only
 * read (`-mod=readonly`); the binary appears under its name complete or not at all.
 */
export async function buildServer(
  server: ServerModule,
  target: string,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  await requireGo(server);
  await buildOnce(server.name, target, say, () => build(server, target, say, signal), signal);
}

/** Builds what isn't there yet, one process at a time: others wait for it. `build` makes the target whole, or not at all. */
export async function buildOnce(
  name: string,
  target: string,
  say: (line: string) => void,
  build: () => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  mkdirSync(dirname(target), { recursive: true });
  const lock = `${target}.lock`;
  let waiting = false;
  await waitFor(
    { what: `another process to build ${name}`, timeoutMs: BUILD_WITHIN_MS, intervalMs: 500, signal },
    () => {
      if (existsSync(target) || takeLock(lock)) return Promise.resolve(true);
      if (!waiting) say(`${name}: another process builds it; waiting`);
      waiting = true;
      return Promise.resolve(false);
    },
  );
  if (existsSync(target)) return;
  try {
    await build();
  } finally {
    rmSync(lock, { force: true });
  }
}

async function build(
  server: ServerModule,
  target: string,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const version = pinnedVersion(server);
  say(
    `${server.name}: building ${version} with Go, because ${server.why}. It takes ${server.takes}, once: it is kept as ${target}`,
  );
  const began = Date.now();
  const temporary = `${target}.${process.pid}.tmp`;
  const log = `${target}.log`;
  const args = ['build', '-C', moduleDir(server), '-mod=readonly', '-trimpath', '-buildvcs=false'];
  if (server.tags !== undefined) args.push('-tags', server.tags);
  args.push('-ldflags', `-s -w ${server.ldflags(version)}`.trim(), '-o', temporary, server.main);
  try {
    const code = await goBuild(args, log, signal);
    signal?.throwIfAborted();
    if (code !== 0) {
      throw new KeyferryError('LabBuild', `Go could not build ${server.name} ${version}.${logTail(log)}`, {
        remedy: `Go's module proxy must be reachable and the disk needs some GB; or point ${server.env} at a binary.`,
      });
    }
    renameSync(temporary, target);
    rmSync(log, { force: true });
  } finally {
    rmSync(temporary, { force: true });
  }
  say(`${server.name}: built in ${Math.round((Date.now() - began) / 1000)} s`);
}

function goBuild(args: readonly string[], log: string, signal?: AbortSignal): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const output = createWriteStream(log);
    // CGO would need a C compiler, and none of the servers needs C.
    const child = spawn('go', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CGO_ENABLED: '0' },
      ...(signal === undefined ? {} : { signal }),
    });
    child.stdout.pipe(output, { end: false });
    child.stderr.pipe(output, { end: false });
    child.once('error', reject);
    child.once('close', (code) => output.end(() => resolve(code)));
  });
}

async function requireGo(server: ServerModule): Promise<void> {
  try {
    await run('go', ['version']);
  } catch (cause) {
    throw new KeyferryError(
      'LabGoMissing',
      `${server.name} is not on this machine, and Go to build it isn't either.`,
      {
        remedy: `Install Go 1.26 or newer (https://go.dev/dl), or point ${server.env} at a ${server.name} binary.`,
        cause,
      },
    );
  }
}

/** Takes the lock, also from a holder that is gone. In the worst case two build at once: slow, and harmless. */
function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, JSON.stringify(identify(process.pid)), { flag: 'wx' });
    return true;
  } catch {
    if (!holderIsGone(lock)) return false;
    rmSync(lock, { force: true });
    return false;
  }
}

function holderIsGone(lock: string): boolean {
  try {
    return !isAlive(JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity);
  } catch {
    // Just being written, or just removed: look again.
    return false;
  }
}
