import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { KeyServiceError } from './key-service.ts';
import type { Pkcs11Answer, Pkcs11Request } from './pkcs11-messages.ts';

/** How long a process is given to log out. */
const leaveMs = 2_000;

/** One process that holds one session with a token. Works on one request at a time. */
export class Pkcs11Process {
  readonly #child: ChildProcess;
  #pending: { resolve(answer: Pkcs11Answer): void; reject(error: KeyServiceError): void } | undefined;

  private constructor(child: ChildProcess, onExit: (how: string) => void) {
    this.#child = child;
    let gone = false;
    const leave = (how: string): void => {
      if (gone) return;
      gone = true;
      this.#pending?.reject(died(how));
      onExit(how);
    };
    child.on('message', (answer: Pkcs11Answer) => this.#pending?.resolve(answer));
    child.once('exit', (code, signal) => leave(signal ?? `exit code ${code ?? 'unknown'}`));
    child.once('error', (error) => leave(error.message));
  }

  /**
   * Starts a process, which loads nothing until it is told what.
   *
   * @param withoutEnv - a variable that it shall not inherit: that of the PIN
   * @param onExit - called once, however it ends
   */
  static start(withoutEnv: string | undefined, onExit: (how: string) => void): Pkcs11Process {
    const name = import.meta.filename.endsWith('.ts') ? 'pkcs11-child.ts' : 'pkcs11-child.js';
    const env = { ...process.env };
    if (withoutEnv !== undefined) Reflect.deleteProperty(env, withoutEnv);
    const child = fork(fileURLToPath(new URL(name, import.meta.url)), [], {
      env,
      // Buffers as they are, not as JSON.
      serialization: 'advanced',
      // Not those of a debugger that the parent runs under.
      execArgv: [],
      // What a vendor's module may print isn't known.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    return new Pkcs11Process(child, onExit);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get busy(): boolean {
    return this.#pending !== undefined;
  }

  /** @throws KeyServiceError `UnavailablePkcs11Process` when the process ends before it has answered */
  async ask(request: Pkcs11Request): Promise<Pkcs11Answer> {
    try {
      return await new Promise<Pkcs11Answer>((resolve, reject) => {
        this.#pending = { resolve, reject };
        this.#child.send(request, (error) => {
          if (error !== null) reject(died('its channel is closed'));
        });
      });
    } finally {
      this.#pending = undefined;
    }
  }

  /** Ends it at once, whatever it does: a native call that hangs can't be interrupted otherwise. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets it log out (2 s at most), and ends it. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    const late = setTimeout(() => this.kill(), leaveMs);
    if (this.#child.connected) this.#child.disconnect();
    else this.kill();
    await ended;
    clearTimeout(late);
  }
}

function died(how: string): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'UnavailablePkcs11Process',
    `the process of the PKCS#11 module ended before it answered (${how})`,
    "another is started by itself; where it goes on, look into the log of the HSM's client",
  );
}
