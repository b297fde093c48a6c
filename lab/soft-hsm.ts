import { execFile, fork } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { KeyferryError, messageOf } from '../src/errors.ts';
import { writeByRename } from './files.ts';
import { cacheDir, type Say } from './servers.ts';
import type { SoftHsmAnswer, SoftHsmStep } from './soft-hsm-admin.ts';

const run = promisify(execFile);

/** Where distributions put the module. */
const usualPlaces = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];
const moduleInPackage = 'usr/lib/softhsm/libsofthsm2.so';

/**
 * The path of SoftHSM's PKCS#11 module. Looked for in this order: SOFTHSM2_MODULE, where distributions put it, the cache;
 * if it is nowhere, Debian's package is downloaded with apt-get and unpacked into the cache, which needs no root.
 *
 * @throws KeyferryError `LabServerUnfit` when the variable names no readable file, `LabBuild` when it can't be had
 */
export async function findSoftHsm(say: Say): Promise<string> {
  const named = process.env['SOFTHSM2_MODULE'];
  if (named !== undefined && named !== '') {
    if (isReadable(named)) return named;
    throw new KeyferryError('LabServerUnfit', `SOFTHSM2_MODULE names ${named}: it can't be read.`, {
      remedy: 'Point SOFTHSM2_MODULE at libsofthsm2.so, or unset it.',
    });
  }
  const cached = join(cacheDir(), 'softhsm2');
  const there = [...usualPlaces, join(cached, moduleInPackage)].find(isReadable);
  if (there !== undefined) return there;
  await downloadPackage(cached, say);
  return join(cached, moduleInPackage);
}

/** Downloads beside the cache's place and puts it there by rename: whole, or not at all. */
async function downloadPackage(target: string, say: Say): Promise<void> {
  say(
    `softhsm2: downloading Debian's package libsofthsm2, because keys in an HSM are tried with it. It takes a few seconds, once: it is kept in ${target}`,
  );
  mkdirSync(dirname(target), { recursive: true });
  const folder = mkdtempSync(`${target}-`);
  try {
    await download(folder);
    const archive = readdirSync(folder).find((name) => name.endsWith('.deb')) ?? '';
    const unpacked = join(folder, 'unpacked');
    await run('dpkg-deb', ['-x', join(folder, archive), unpacked]);
    // Another process may have been quicker.
    if (!existsSync(target)) renameSync(unpacked, target);
  } catch (cause) {
    throw new KeyferryError(
      'LabBuild',
      `SoftHSM is not on this machine, and can't be downloaded: ${messageOf(cause)}`,
      {
        remedy:
          'Install SoftHSM 2 (apt-get install softhsm2, dnf install softhsm), or point SOFTHSM2_MODULE at libsofthsm2.so.',
        cause,
      },
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A machine whose package lists are missing, as in many containers, or old, gets them first: that needs root. */
async function download(folder: string): Promise<void> {
  const attempt = async () => await run('apt-get', ['download', 'libsofthsm2'], { cwd: folder });
  try {
    await attempt();
  } catch {
    await run('apt-get', ['update']);
    await attempt();
  }
}

/** A folder of tokens, and what may be done to them as by an HSM's security officer. */
export class SoftHsm {
  readonly module: string;
  readonly dir: string;

  /** @param dir - a folder of its own; made where it isn't there */
  constructor(module: string, dir: string) {
    this.module = module;
    this.dir = dir;
    mkdirSync(this.tokens, { recursive: true, mode: 0o700 });
    writeByRename(
      this.#configuration,
      `directories.tokendir = ${this.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
    );
  }

  /** Where SoftHSM keeps its tokens: without it there are none. */
  get tokens(): string {
    return join(this.dir, 'tokens');
  }

  /** What a process needs in its environment to meet these tokens. */
  get environment(): { SOFTHSM2_CONF: string } {
    return { SOFTHSM2_CONF: this.#configuration };
  }

  get #configuration(): string {
    return join(this.dir, 'softhsm2.conf');
  }

  /**
   * Carries out steps, one after another, in a process of their own: SoftHSM reads its configuration once in a process.
   * PINs and keys travel by IPC.
   *
   * @throws KeyferryError `LabSoftHsm`
   */
  async administer(...steps: SoftHsmStep[]): Promise<void> {
    const name = import.meta.filename.endsWith('.ts') ? 'soft-hsm-admin.ts' : 'soft-hsm-admin.js';
    const child = fork(fileURLToPath(new URL(name, import.meta.url)), [], {
      env: { ...process.env, ...this.environment },
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const answer = await new Promise<SoftHsmAnswer>((resolve) => {
      child.once('message', (message) => resolve(message as SoftHsmAnswer));
      child.once('exit', (code, signal) =>
        resolve({ error: `it ended with ${code ?? signal ?? 'nothing'}` }),
      );
      child.once('error', (error) => resolve({ error: error.message }));
      child.send({ module: this.module, steps });
    });
    if (answer.error === undefined) return;
    throw new KeyferryError('LabSoftHsm', `SoftHSM could not be set up: ${answer.error}.`, {
      remedy: `Look at ${this.dir}, or remove it to begin anew.`,
    });
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
