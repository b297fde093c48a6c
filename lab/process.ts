import { spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KeyferryError } from '../src/errors.ts';
import { writeByRename } from './files.ts';
import { identify, identifyChild, isAlive, standsStill, type ProcessIdentity } from './process-identity.ts';
import { logTail, waitFor } from './wait.ts';

/** What is needed to start a server, now or again later. */
export interface Launch {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly log: string;
  /** How long it may take until it is ready, in ms. */
  readonly readyWithinMs: number;
  /** Whether it is of use now; for `logText` the log counts from this start only. */
  ready(logText: () => string): Promise<boolean>;
}

/** A server that was started, as remembered in `run/<name>.json`: one small file each, so that no two share one. */
export interface ProcessRecord extends ProcessIdentity {
  readonly name: string;
  readonly log: string;
  /** Size of the log when it was started, in bytes. */
  readonly logOffset: number;
  readonly startedAt: string;
}

export class ProcessTable {
  readonly #dir: string;

  /** @param dir - the lab's `run` folder */
  constructor(dir: string) {
    this.#dir = dir;
  }

  list(): ProcessRecord[] {
    let files: string[];
    try {
      files = readdirSync(this.#dir);
    } catch {
      return [];
    }
    return files
      .filter((file) => file.endsWith('.json'))
      .map((file) => this.#read(basename(file, '.json')))
      .filter((record) => record !== undefined);
  }

  /** The running process of this name; undefined when it never ran, has ended, or its pid now belongs to a stranger. */
  running(name: string): ProcessRecord | undefined {
    const record = this.#read(name);
    return record !== undefined && isAlive(record) ? record : undefined;
  }

  /** Starts a server detached from this process, and remembers it. Does not wait until it is ready. */
  start(launch: Launch): ProcessRecord {
    if (this.running(launch.name) !== undefined) {
      throw new KeyferryError('LabRunning', `${launch.name} runs already.`, { remedy: 'Stop it first.' });
    }
    mkdirSync(dirname(launch.log), { recursive: true });
    const log = openSync(launch.log, 'a', 0o600);
    try {
      const logOffset = fstatSync(log).size;
      const child = spawn(launch.command, launch.args, {
        detached: true,
        stdio: ['ignore', log, log],
        env: { ...inheritedEnvironment(), ...launch.env },
      });
      // Without a listener a program that can't be executed would end this process.
      child.on('error', () => undefined);
      child.unref();
      const identity = child.pid === undefined ? undefined : identifyChild(child.pid);
      if (identity === undefined) {
        throw new KeyferryError('LabStart', `${launch.name} could not be started: ${launch.command}.`, {
          remedy: 'Check that the program exists, may be executed, and is built for this machine.',
        });
      }
      const record: ProcessRecord = {
        name: launch.name,
        ...identity,
        log: launch.log,
        logOffset,
        startedAt: new Date().toISOString(),
      };
      writeByRename(join(this.#dir, `${launch.name}.json`), JSON.stringify(record));
      return record;
    } finally {
      closeSync(log);
    }
  }

  /** Starts a server and waits until it is ready; one that ends before that is reported with its last words. */
  async startAndWait(launch: Launch, signal?: AbortSignal): Promise<ProcessRecord> {
    return await this.#alone(launch.name, async () => await this.#startAndWait(launch, signal));
  }

  /** Stops a server where it runs, and starts it anew; nobody starts or stops it in between. */
  async restart(launch: Launch): Promise<ProcessRecord> {
    return await this.#alone(launch.name, async () => {
      await this.stopAtOnce(launch.name);
      return await this.#startAndWait(launch);
    });
  }

  async #startAndWait(launch: Launch, signal?: AbortSignal): Promise<ProcessRecord> {
    const record = this.start(launch);
    const { name: what, log, readyWithinMs: timeoutMs } = launch;
    await waitFor({ what: `${what} to be ready`, timeoutMs, log, signal }, async () => {
      // Another one may answer at its port.
      const ready = await launch.ready(() => logSince(record));
      if (isAlive(record)) return ready;
      throw addressInUse(logSince(record))
        ? new AddressInUseError(`${what} found its port taken.`)
        : new KeyferryError('LabStart', `${what} ended before it was ready.${logTail(log)}`, {
            remedy: 'Its log says why.',
          });
    });
    return record;
  }

  /**
   * Stops a process and waits until it is gone: SIGTERM first, SIGKILL after the grace. Only ever the very process that
   * was started; whoever else has its pid by now is left alone.
   */
  async stop(name: string, graceMs?: number): Promise<void> {
    await this.#alone(name, async () => {
      await this.stopAtOnce(name, graceMs);
    });
  }

  /** As {@link stop}, also while somebody else starts it: for whoever ends everything. */
  async stopAtOnce(name: string, graceMs = 10_000): Promise<void> {
    const record = this.#read(name);
    if (record === undefined) return;
    if (signalProcess(record, 'SIGTERM')) {
      // A stopped process does not act on SIGTERM before it is continued.
      signalProcess(record, 'SIGCONT');
      if (!(await gone(record, graceMs))) signalProcess(record, 'SIGKILL');
      await waitFor({ what: `${name} (pid ${record.pid}) to end`, timeoutMs: 30_000, intervalMs: 20 }, () =>
        Promise.resolve(!isAlive(record)),
      );
    }
    rmSync(join(this.#dir, `${name}.json`), { force: true });
  }

  /** Sends a signal, for faults: SIGKILL and waits for the end, SIGSTOP and waits until it stands still, SIGCONT. */
  async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    const record = this.running(name);
    if (record === undefined || !signalProcess(record, signal)) {
      throw new KeyferryError('LabNotRunning', `${name} does not run.`, { remedy: 'Start it first.' });
    }
    const within = { timeoutMs: 30_000, intervalMs: 20 };
    if (signal === 'SIGKILL') {
      await waitFor({ what: `${name} to be gone`, ...within }, () => Promise.resolve(!isAlive(record)));
    }
    if (signal === 'SIGSTOP') {
      // A thread that was at work when the signal was sent could still answer.
      await waitFor({ what: `${name} to stand still`, ...within }, () =>
        Promise.resolve(standsStill(record.pid)),
      );
    }
  }

  /**
   * Does something to a process while nobody else does, in this program or another: an agent restarts the server that a
   * test starts, and two of one name would be in each other's way.
   */
  async #alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    mkdirSync(this.#dir, { recursive: true });
    const lock = join(this.#dir, `${name}.lock`);
    const own = identify(process.pid);
    await waitFor(
      { what: `whoever starts or stops ${name} to be done`, timeoutMs: 600_000, intervalMs: 20 },
      () => Promise.resolve(takeLock(lock, JSON.stringify(own))),
    );
    try {
      return await work();
    } finally {
      rmSync(lock, { force: true });
    }
  }

  #read(name: string): ProcessRecord | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#dir, `${name}.json`), 'utf8')) as ProcessRecord;
    } catch {
      return undefined;
    }
  }
}

/** A port was taken between choosing and listening: another one may do. */
export class AddressInUseError extends KeyferryError {
  constructor(message: string) {
    super('LabAddressInUse', message, { remedy: 'Try again: another port is chosen.', retryable: true });
  }
}

/** Takes a lock, also one whose holder has died. */
function takeLock(file: string, owner: string): boolean {
  try {
    writeFileSync(file, owner, { flag: 'wx' });
    return true;
  } catch {
    let holder: ProcessIdentity;
    try {
      holder = JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
    } catch {
      // Gone by now, or being written.
      return false;
    }
    if (!isAlive(holder)) rmSync(file, { force: true });
    return false;
  }
}

/** What a process has logged since it was started. */
export function logSince(record: ProcessRecord): string {
  try {
    return readFileSync(record.log).subarray(record.logOffset).toString('utf8');
  } catch {
    return '';
  }
}

function addressInUse(log: string): boolean {
  return /address already in use|EADDRINUSE/.test(log);
}

function signalProcess(record: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(record)) return false;
  try {
    return process.kill(record.pid, signal);
  } catch {
    return false;
  }
}

async function gone(record: ProcessIdentity, withinMs: number): Promise<boolean> {
  try {
    await waitFor({ what: 'the end', timeoutMs: withinMs, intervalMs: 20 }, () =>
      Promise.resolve(!isAlive(record)),
    );
    return true;
  } catch {
    return false;
  }
}

/** Options meant for this Node (a test runner's loader) would change how keyferry's own processes run. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  delete environment['NODE_OPTIONS'];
  return environment;
}
