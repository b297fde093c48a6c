import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONTROLLER_MANAGER } from '../../lab/controller-manager.ts';
import { chainFor } from '../../src/encryption-config/index.ts';
import type { EnvelopeChain } from '../../src/envelope/chain.ts';
import { PluginConnections } from '../../src/kms-plugin/connections.ts';
import type { Progress } from '../../src/plan/progress.ts';
import type { MigrationSpec } from '../../src/spec/migration.ts';
import type { TimelineEntry } from '../../workflows/types.ts';
import { ControlPlane } from '../../test/support/control-plane.ts';
import { swapAll } from './bare.ts';
import { BareEtcd } from './bare-etcd.ts';
import { cpuBetween, useOf } from './processes.ts';
import { fillSecrets, namespaceOf, NAMESPACES } from './fill.ts';

const PAGE = 1_000;
/** Whoever asks more often takes CPU from what is measured; times are those that the migration tells itself. */
const POLL_MS = 500;
/** No phase of a migration takes longer. */
const WITHIN_MS = 1_200_000;

/** What a contender opens and seals with. */
export interface Chains {
  readonly from: EnvelopeChain;
  readonly to: EnvelopeChain;
}

/** What somebody did, and what it took. */
export interface Go {
  readonly rewritten: number;
  readonly seconds: number;
  /** Seconds on a CPU, by process of the lab; `bench` is the benchmark's own. */
  readonly cpu?: Readonly<Record<string, number>>;
  readonly note?: string;
}

export interface MigrateOptions {
  /** Of the spec. */
  readonly pace: Partial<MigrationSpec['pace']>;
  readonly whenRewriting?: () => Promise<void>;
  readonly whenRewritten?: () => Promise<void>;
}

/** A control plane full of Secrets, for one contender after another. */
export class Bench {
  readonly plane: ControlPlane;
  readonly #secrets: number;
  /** Each node's file as it was, and as it is while the target writes. */
  readonly #original: Readonly<Record<string, string>>;
  readonly #connections = new PluginConnections();

  private constructor(plane: ControlPlane, secrets: number) {
    this.plane = plane;
    this.#secrets = secrets;
    this.#original = plane.configurations();
  }

  static async up(secrets: number): Promise<Bench> {
    const plane = await ControlPlane.up({ etcdCompactionSeconds: 60, controllerManager: true });
    try {
      // It follows every write: only while it is measured itself.
      await plane.lab.stop(CONTROLLER_MANAGER);
      await fillSecrets(plane.lab, secrets);
      return new Bench(plane, secrets);
    } catch (error) {
      await plane.down();
      throw error;
    }
  }

  async down(): Promise<void> {
    this.#connections.close();
    await this.plane.down();
  }

  /** Migrates up to the gate before cutover, and rolls back. @returns the phase rewrite, and the census after it */
  async migrateAndBack(
    engine: MigrationSpec['engine'],
    { pace, whenRewriting, whenRewritten }: MigrateOptions,
  ): Promise<{ rewriting: Go; census: Go }> {
    const migration = await this.plane.start({ spec: { resources: ['secrets'], engine, pace } });
    const until = async (fits: (phase: Progress['phase']) => boolean) => {
      while (!fits((await migration.progress()).phase)) await sleep(POLL_MS);
    };
    await until((phase) => phase === 'rewrite');
    await whenRewriting?.();
    const { cpu } = await this.#clocked(async () => {
      await until((phase) => phase !== 'rewrite');
    });
    await whenRewritten?.();
    await migration.untilPhase('soak', 'waiting', WITHIN_MS);
    const seconds = phaseSeconds(await migration.timeline(), 'rewrite');
    const census = this.plane.temporal.workflow.getHandle(`${migration.workflowId}/census`);
    const { startTime, closeTime } = await census.describe();
    await migration.order('rollback');
    const { outcome } = await migration.report(WITHIN_MS);
    if (outcome !== 'rolled-back') throw new Error(`the migration ended as ${outcome}`);
    const rewritten = this.#secrets;
    return {
      rewriting: { rewritten, seconds, ...(cpu === undefined ? {} : { cpu }) },
      census: { rewritten, seconds: ((closeTime?.getTime() ?? NaN) - startTime.getTime()) / 1000 },
    };
  }

  /** Lets all API servers write by the target, and read both, as they do while a migration rewrites. */
  async writeByTarget(): Promise<void> {
    for (const node of this.plane.lab.nodes) {
      writeFileSync(this.plane.configurationFile(node), this.#targetWrites(node));
      await this.plane.lab.restartApiServer(node);
    }
  }

  /** Times some work on Secrets that lie under the source, of which `count` shall lie under the target afterwards. */
  async timed(count: number, work: (chains: Chains) => Promise<void>): Promise<Go> {
    await this.reset();
    const chains = this.#chains();
    const clock = await this.#clocked(async () => {
      await work(chains);
    });
    const rewritten = await this.underTarget();
    if (rewritten !== count) throw new Error(`${rewritten} of ${count} were rewritten`);
    return { rewritten, ...clock };
  }

  async #clocked(work: () => Promise<void>): Promise<Pick<Go, 'seconds' | 'cpu'>> {
    const own = process.cpuUsage();
    const before = await useOf(this.plane.lab);
    const begun = performance.now();
    await work();
    const seconds = (performance.now() - begun) / 1000;
    const { user, system } = process.cpuUsage(own);
    const cpu = cpuBetween(before, await useOf(this.plane.lab));
    return { seconds, cpu: { ...cpu, bench: Math.round((user + system) / 10_000) / 100 } };
  }

  /** Puts all Secrets under the source again. */
  async reset(): Promise<void> {
    const { from, to } = this.#chains();
    const written = await swapAll(this.plane.lab, to, from);
    if (written !== this.#secrets) throw new Error(`only ${written} were put under the source again`);
  }

  /** How many Secrets of the benchmark lie under the target. */
  async underTarget(): Promise<number> {
    const etcd = new BareEtcd(this.plane.lab);
    let count = 0;
    for (let i = 0; i < NAMESPACES; i += 1) {
      const end = Buffer.from(`/registry/secrets/${namespaceOf(i)}0`);
      let start: Buffer | undefined = Buffer.from(`/registry/secrets/${namespaceOf(i)}/`);
      while (start !== undefined) {
        const page = await etcd.page(start, end, PAGE);
        count += page.filter(({ value }) => value.subarray(0, 11).equals(Buffer.from('k8s:enc:kms'))).length;
        const last = page.at(-1);
        start =
          page.length < PAGE || last === undefined ? undefined : Buffer.concat([last.key, Buffer.alloc(1)]);
      }
    }
    etcd.close();
    return count;
  }

  #chains(): Chains {
    const [node = ''] = this.plane.lab.nodes;
    return {
      from: chainFor(this.#original[node] ?? '', 'secrets', this.#connections),
      to: chainFor(this.#targetWrites(node), 'secrets', this.#connections),
    };
  }

  #targetWrites(node: string): string {
    const kms = `providers:
      - kms:
          apiVersion: v2
          name: vault
          endpoint: unix://${this.plane.lab.paths.node(node).socket}
          timeout: 3s`;
    return (this.#original[node] ?? '').replace('providers:', kms);
  }
}

/** From the beginning of a phase to that of the next, as the migration tells it. */
function phaseSeconds(timeline: readonly TimelineEntry[], phase: string): number {
  const begins = timeline.filter(({ what }) => what.startsWith('phase '));
  const at = begins.findIndex(({ what }) => what === `phase ${phase}`);
  return ((begins[at + 1]?.at ?? NaN) - (begins[at]?.at ?? NaN)) / 1000;
}
