import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findSoftHsm, SoftHsm } from '../../lab/soft-hsm.ts';
import type { SoftHsmStep } from '../../lab/soft-hsm-admin.ts';
import { type Pkcs11Mechanism } from '../../src/keys/pkcs11-key-id.ts';
import { Pkcs11KeyService } from '../../src/keys/pkcs11.ts';
import { type Pkcs11PoolOptions } from '../../src/keys/pkcs11-pool.ts';
import { silent } from './vault-alone.ts';

type OfKey = Extract<SoftHsmStep, { label: string }>;
type KeyStep = OfKey extends infer Step
  ? Step extends OfKey
    ? Omit<Step, 'token' | 'pin' | 'label'>
    : never
  : never;

const firstPin = 'user-pin-of-the-tests';

/** A SoftHSM of a test file's own with one token; `label` names the key of the running test. */
export class SoftHsmAlone {
  readonly hsm: SoftHsm;
  readonly token = 'test-token';
  readonly soPin = 'so-pin-of-the-tests';
  /** As it is on the token. */
  pin = firstPin;
  #services: Pkcs11KeyService[] = [];
  #keys = 0;
  #freezing: NodeJS.Timeout | undefined;

  private constructor(hsm: SoftHsm) {
    this.hsm = hsm;
  }

  static async up(): Promise<SoftHsmAlone> {
    const module = await findSoftHsm((line) => process.stderr.write(`${line}\n`));
    const alone = new SoftHsmAlone(new SoftHsm(module, mkdtempSync(join(tmpdir(), 'kf-hsm-'))));
    // Inherited by the processes of the key services.
    Object.assign(process.env, alone.hsm.environment);
    await alone.initToken(alone.token);
    alone.keep('empty');
    return alone;
  }

  down(): void {
    rmSync(this.hsm.dir, { recursive: true, force: true });
  }

  async initToken(token: string): Promise<void> {
    const { soPin, pin } = this;
    await this.hsm.administer({ type: 'init-token', token, soPin, pin });
  }

  /** Gives the token another user PIN, which the file doesn't have. */
  async setPin(pin: string): Promise<void> {
    this.pin = pin;
    const { token, soPin } = this;
    await this.hsm.administer({ type: 'set-pin', token, soPin, pin });
  }

  get pinFile(): string {
    return join(this.hsm.dir, 'pin');
  }

  writePin(pin = this.pin): void {
    writeFileSync(this.pinFile, `${pin}\n`, { mode: 0o600 });
  }

  get label(): string {
    return `k${this.#keys}`;
  }

  /** For the next test: a token without keys, with the first PIN, and another label for its key. */
  fresh(): void {
    this.#keys += 1;
    this.restore('empty');
    this.pin = firstPin;
    this.writePin();
  }

  async key(step: KeyStep, label = this.label, token = this.token): Promise<void> {
    await this.hsm.administer({ ...step, label, token, pin: this.pin });
  }

  service(mechanism: Pkcs11Mechanism, over: Partial<Pkcs11PoolOptions> = {}): Pkcs11KeyService {
    const made = new Pkcs11KeyService(
      {
        service: 'test-hsm',
        module: this.hsm.module,
        token: { label: this.token },
        pin: { type: 'file', file: this.pinFile },
        key: { label: this.label },
        mechanism,
        ...over,
      },
      silent,
    );
    this.#services.push(made);
    return made;
  }

  get pids(): number[] {
    return this.#services.flatMap(({ pids }) => pids);
  }

  /** Ends the processes of all services, and waits until the services have noticed. */
  async killProcesses(): Promise<void> {
    for (const pid of this.pids) process.kill(pid, 'SIGKILL');
    await until(() => this.pids.length === 0);
  }

  /** Stops every process of the services, those that are still to be started too, until {@link thaw}. */
  freeze(signal: 'SIGSTOP' | 'SIGKILL' = 'SIGSTOP'): void {
    const stop = () => {
      for (const pid of this.pids) {
        try {
          process.kill(pid, signal);
        } catch {
          // Gone meanwhile.
        }
      }
    };
    stop();
    this.#freezing = setInterval(stop, 5);
  }

  thaw(): void {
    clearInterval(this.#freezing);
    for (const pid of this.pids) process.kill(pid, 'SIGCONT');
  }

  /** Keeps the tokens as they are: while nobody is logged in. */
  keep(as: 'empty' | 'kept' = 'kept'): void {
    this.#copy(this.hsm.tokens, join(this.hsm.dir, as));
  }

  /** SoftHSM writes to its token at each login, and one that is killed then leaves half a file: not what an HSM does. */
  restore(from: 'empty' | 'kept' = 'kept'): void {
    this.#copy(join(this.hsm.dir, from), this.hsm.tokens);
  }

  #copy(from: string, to: string): void {
    rmSync(to, { recursive: true, force: true });
    cpSync(from, to, { recursive: true });
  }

  removeToken(): void {
    renameSync(this.hsm.tokens, `${this.hsm.tokens}.away`);
  }

  putBack(): void {
    renameSync(`${this.hsm.tokens}.away`, this.hsm.tokens);
  }

  async closeServices(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()));
    this.#services = [];
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i === 1_000) throw new Error('it did not come about in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
