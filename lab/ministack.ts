import { execFile } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { KeyferryError } from '../src/errors.ts';
import { packageRoot } from './paths.ts';
import { buildOnce } from './server-build.ts';
import { cacheDir, type Say } from './servers.ts';

const run = promisify(execFile);
const dir = () => join(packageRoot(), 'lab/servers/ministack');
const PIP_WITHIN_MS = 10 * 60_000;

/** How the AWS emulator is started: a Python that has ministack, and the script that it runs. */
export interface Ministack {
  readonly python: string;
  readonly script: string;
}

/**
 * The AWS emulator. `KEYFERRY_MINISTACK_PYTHON` may name a Python that has ministack; otherwise a virtual environment in
 * the cache is taken, and made first where there is none, with the versions that requirements.txt pins.
 *
 * @throws KeyferryError `LabServerUnfit` when the variable names no such Python, `LabPythonMissing`, `LabBuild`
 */
export async function findMinistack(say: Say, signal?: AbortSignal): Promise<Ministack> {
  const script = join(dir(), 'serve.py');
  const named = process.env['KEYFERRY_MINISTACK_PYTHON'];
  if (named !== undefined && named !== '') {
    if (await succeeds(named, ['-c', 'import ministack'])) return { python: named, script };
    throw new KeyferryError(
      'LabServerUnfit',
      `KEYFERRY_MINISTACK_PYTHON names ${named}, without ministack.`,
      {
        remedy: 'Point it at a Python that has ministack, or unset it to have one set up.',
      },
    );
  }
  const target = join(cacheDir(), `ministack-${pinnedMinistack()}`);
  if (!existsSync(target))
    await buildOnce('ministack', target, say, () => install(target, say, signal), signal);
  return { python: join(target, 'bin/python'), script };
}

/** The version that requirements.txt pins. */
export function pinnedMinistack(): string {
  const file = join(dir(), 'requirements.txt');
  const version = /^ministack==(\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1];
  if (version !== undefined) return version;
  throw new KeyferryError('FileInvalid', `${file} pins no version of ministack.`, {
    remedy: 'Restore the file.',
  });
}

/** A virtual environment works from its new place after a rename as long as its Python is what is started. */
async function install(target: string, say: Say, signal?: AbortSignal): Promise<void> {
  if (!(await succeeds('python3', ['-c', 'import sys, venv; sys.exit(sys.version_info < (3, 10))']))) {
    throw new KeyferryError(
      'LabPythonMissing',
      'ministack needs Python 3.10 or newer with its venv module.',
      {
        remedy:
          'Install it (Debian: python3-venv), or point KEYFERRY_MINISTACK_PYTHON at a Python with ministack.',
      },
    );
  }
  say(
    `ministack: installing ${pinnedMinistack()} with pip, because it plays AWS KMS. It takes half a minute, once: it is kept as ${target}`,
  );
  const temporary = `${target}.${process.pid}.tmp`;
  const options = { timeout: PIP_WITHIN_MS, ...(signal === undefined ? {} : { signal }) };
  try {
    await run('python3', ['-m', 'venv', temporary], options);
    const requirements = join(dir(), 'requirements.txt');
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements];
    await run(join(temporary, 'bin/python'), pip, options);
    renameSync(temporary, target);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new KeyferryError('LabBuild', 'pip could not install ministack.', {
      remedy:
        "Python's package index must be reachable; or point KEYFERRY_MINISTACK_PYTHON at a Python that has it.",
      cause,
    });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(command, args, { timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}
