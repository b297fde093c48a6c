import { ARRANGEMENTS, compatible, writingSide, type Arrangement } from './arrangement.ts';
import type { PlanEvent } from './state.ts';
import type { Observed, Step } from './transition.ts';

/**
 * A small cluster in which everything may happen that can happen to a real one: two API servers that take up their
 * files when they like, clients that write through any of them, and the faults that are let loose. The plan sees of it
 * only what keyferry's activities would tell.
 */
export interface World {
  seen: Observed;
  /** What lies on each node; an edit lands some time after the plan recorded it. */
  disk: readonly Arrangement[];
  /** What each process really runs. */
  running: readonly Arrangement[];
  /** What objects are sealed with. */
  objects: readonly Sealed[];
  /** Values that a server has sealed, and that have not landed yet. */
  late: readonly Sealed[];
  /** An API server that nobody listed, and what it runs. */
  stranger: Arrangement | undefined;
  /** Whether an old file may still be put back on a node by somebody else: once is enough. */
  mayDrift: boolean;
  /** Whether the first server took up another file than keyferry's since keyferry last saw it converged. */
  strayed: boolean;
  /** A worker that froze before it put a canary into etcd: for the present fence, or for an older one. */
  zombie: 'none' | 'current' | 'fenced';
  /** Whether the target's plugins are dead. */
  dead: boolean;
  /** Whether the second server's plugin has another key than the first's. */
  split: boolean;
}

/** What a value is sealed with: a side, the target under the second server's key, or a canary under the target. */
export type Sealed = 'source' | 'target' | 'target of b' | 'canary';

export type Fault =
  | 'late write'
  | 'server that joins'
  | 'old file put back'
  | 'frozen worker'
  | 'dead plugin'
  | 'key id per server'
  | 'pause';

/** The plan under test; a copy of it may have a guard taken out. */
export interface Plan {
  decide: (seen: Observed) => Step;
  advance: (seen: Observed, event: PlanEvent) => Observed;
  initial: (servers: readonly string[], takeUp: Observed['takeUp']) => Observed;
}

export interface Found {
  states: number;
  wrong: string | undefined;
  /** How it came to what is wrong, from the beginning. */
  story: readonly World[];
  stuck: string | undefined;
  ends: ReadonlySet<string>;
}

const SERVERS = ['a', 'b'];

/** Every history of the cluster, breadth first, until one goes wrong. */
export function explore(
  plan: Plan,
  takeUp: Observed['takeUp'],
  faults: readonly Fault[],
  options: { looks: boolean; revives: boolean } = { looks: true, revives: true },
): Found {
  const first: World = {
    seen: plan.initial(SERVERS, takeUp),
    disk: ['source-only', 'source-only'],
    running: ['source-only', 'source-only'],
    objects: ['source'],
    late: [],
    stranger: undefined,
    mayDrift: faults.includes('old file put back'),
    strayed: false,
    zombie: 'none',
    dead: false,
    split: faults.includes('key id per server'),
  };
  const known = new Map<string, World | undefined>([[JSON.stringify(first), undefined]]);
  const story = (end: World): World[] => {
    const all: World[] = [];
    for (let world: World | undefined = end; world !== undefined; world = known.get(JSON.stringify(world)))
      all.unshift(world);
    return all;
  };
  let front: World[] = [first];
  const ends = new Set<string>();
  while (front.length > 0) {
    const next: World[] = [];
    for (const world of front) {
      const step = plan.decide(world.seen);
      const wrong = wrongIn(world, step);
      if (wrong !== undefined)
        return { states: known.size, wrong, story: story(world), stuck: undefined, ends };
      if (step.kind === 'finish') {
        ends.add(step.outcome);
        continue;
      }
      const after = [...new Successors(plan, world, step, faults, options)];
      if (after.length === 0) {
        return {
          states: known.size,
          wrong: undefined,
          story: story(world),
          stuck: `${step.phase}: ${step.kind}`,
          ends,
        };
      }
      for (const one of after) {
        const id = JSON.stringify(one);
        if (known.has(id)) continue;
        known.set(id, world);
        next.push(one);
      }
    }
    front = next;
  }
  return { states: known.size, wrong: undefined, story: [], stuck: undefined, ends };
}

function wrongIn(world: World, step: Step): string | undefined {
  const servers = running(world);
  for (const [i, arrangement] of servers.entries()) {
    const lost = world.objects.find((sealed) => !opens(world, i, arrangement, sealed));
    if (lost !== undefined) return `a server that runs ${arrangement} can't read objects under ${lost}`;
  }
  const may = world.seen.servers.flatMap((server) => server.mayRun);
  const apart = may.find((one) => may.some((other) => !compatible(one, other)));
  if (apart !== undefined) return `${apart} may run beside what is no neighbour of it`;
  if (world.zombie === 'current' && (step.kind === 'hold' || step.kind === 'finish')) {
    return `a writer is left after "${step.kind === 'hold' ? 'paused' : step.phase}"`;
  }
  return undefined;
}

/** What listed servers run, and the stranger after them. */
function running(world: World): readonly Arrangement[] {
  return world.stranger === undefined ? world.running : [...world.running, world.stranger];
}

function opens(world: World, server: number, arrangement: Arrangement, sealed: Sealed): boolean {
  if (sealed === 'source') return arrangement !== 'target-only';
  if (arrangement === 'source-only') return false;
  return !world.split || sealed === 'canary' || (sealed === 'target of b') === (server === 1);
}

function sealedBy(world: World, server: number): Sealed {
  const side = writingSide(running(world)[server] ?? 'source-only');
  return side === 'target' && world.split && server === 1 ? 'target of b' : side;
}

function all(world: World): Sealed[] {
  return running(world).map((_, server) => sealedBy(world, server));
}

function union<T>(...lists: readonly (readonly T[])[]): T[] {
  return [...new Set(lists.flat())].sort();
}

function replaced<T>(list: readonly T[], at: number, by: T): T[] {
  return list.map((one, i) => (i === at ? by : one));
}

/** All that may come of a step, and all that may happen meanwhile. */
class Successors {
  readonly #plan: Plan;
  readonly #world: World;
  readonly #step: Step;
  readonly #faults: readonly Fault[];
  readonly #options: { looks: boolean; revives: boolean };

  constructor(
    plan: Plan,
    world: World,
    step: Step,
    faults: readonly Fault[],
    options: { looks: boolean; revives: boolean },
  ) {
    this.#plan = plan;
    this.#world = world;
    this.#step = step;
    this.#faults = faults;
    this.#options = options;
  }

  *[Symbol.iterator](): Generator<World> {
    yield* this.#servers();
    yield* this.#clients();
    yield* this.#others();
    yield* this.#people();
    yield* this.#keyferry();
  }

  #has(fault: Fault): boolean {
    return this.#faults.includes(fault);
  }

  #told(...events: PlanEvent[]): World {
    return {
      ...this.#world,
      seen: events.reduce((seen, event) => this.#plan.advance(seen, event), this.#world.seen),
    };
  }

  /** Edits land on the nodes, and processes take up what lies there, by a reload or because they restart. */
  *#servers(): Generator<World> {
    const world = this.#world;
    for (const [i, server] of world.seen.servers.entries()) {
      if (world.disk[i] !== server.file) yield { ...world, disk: replaced(world.disk, i, server.file) };
      const lying = world.disk[i] ?? 'source-only';
      if (world.running[i] !== lying && this.#loads(lying)) {
        yield { ...world, running: replaced(world.running, i, lying) };
      }
    }
  }

  /** A reload refuses a file in which any kms entry is unhealthy; towards the source keyferry restarts instead. */
  #loads(arrangement: Arrangement): boolean {
    const { dead, seen } = this.#world;
    return !dead || arrangement === 'source-only' || seen.takeUp === 'Restart' || seen.goal === 'source';
  }

  *#clients(): Generator<World> {
    const world = this.#world;
    yield { ...world, objects: union(world.objects, all(world)) };
    if (!this.#has('late write')) return;
    yield { ...world, late: union(world.late, all(world)) };
    yield { ...world, objects: union(world.objects, world.late) };
  }

  *#others(): Generator<World> {
    const world = this.#world;
    if (this.#has('server that joins')) {
      if (world.stranger !== undefined) yield { ...world, stranger: undefined };
      // Whoever sets it up copies the file of a node that serves.
      else if (world.seen.preflight === 'passed')
        for (const stranger of new Set(world.running)) yield { ...world, stranger };
    }
    if (this.#has('dead plugin') && !world.seen.cleaned) {
      if (!world.dead) yield { ...world, dead: true };
      else if (this.#options.revives) yield { ...world, dead: false };
    }
    if (world.split) yield { ...world, split: false };
    if (world.zombie !== 'none') {
      yield {
        ...world,
        zombie: 'none',
        objects: world.zombie === 'current' ? union(world.objects, ['canary']) : world.objects,
      };
    }
    yield* this.#drifts();
  }

  /** Somebody puts an old file back, while no edit is under way, and in a way that does no harm by itself. */
  *#drifts(): Generator<World> {
    const world = this.#world;
    const quiet = world.seen.servers.every(
      ({ file }, i) => world.disk[i] === file && world.running[i] === file,
    );
    if (!world.mayDrift || !quiet) return;
    const present = ARRANGEMENTS.indexOf(world.running[0] ?? 'source-only');
    for (const [at, old] of ARRANGEMENTS.entries()) {
      const { goal, targetMayHaveWritten } = world.seen;
      const wasThere =
        goal === 'target' ? at < present : at > present && (targetMayHaveWritten || old === 'target-reads');
      if (!wasThere || !running(world).every((one) => compatible(one, old))) continue;
      const next = {
        ...world,
        mayDrift: false,
        strayed: true,
        disk: replaced(world.disk, 0, old),
        running: replaced(world.running, 0, old),
      };
      const landed = { ...next, objects: union(next.objects, next.late) };
      if (wrongIn(landed, this.#step) === undefined) yield next;
    }
  }

  *#people(): Generator<World> {
    const { seen } = this.#world;
    if (seen.goal === 'target' && !seen.approved.cleanup)
      yield this.#told({ kind: 'turned', goal: 'source' });
    if (seen.goal === 'source' && this.#step.kind !== 'cleanup' && this.#step.kind !== 'release')
      yield this.#told({ kind: 'turned', goal: 'target' });
    if (!this.#has('pause')) return;
    yield this.#told(seen.held === undefined ? { kind: 'held', reason: 'paused' } : { kind: 'released' });
  }

  /** What a look at the servers shows; nothing where none differs from what the plan knows. */
  #look(): PlanEvent[] {
    const { seen, running: runs, strayed, stranger } = this.#world;
    if (!this.#options.looks) return [];
    const drifted = seen.servers.flatMap(({ name, mayRun, doubted }, i): PlanEvent[] => {
      // A server counts its reloads and its starts: it can't have been elsewhere and back unseen.
      const asProven = mayRun.includes(runs[i] ?? 'source-only') && !(strayed && i === 0);
      return asProven || doubted ? [] : [{ kind: 'drifted', server: name }];
    });
    if (stranger !== undefined && seen.strangers.length === 0)
      return [...drifted, { kind: 'strangers', servers: ['c'] }];
    if (stranger === undefined && seen.strangers.length > 0)
      return [...drifted, { kind: 'strangers', servers: [] }];
    return drifted;
  }

  *#keyferry(): Generator<World> {
    const world = this.#world;
    const { seen } = world;
    const step = this.#step;
    const looked = this.#look();
    const needs = (sealed: Sealed): boolean => (sealed === 'source') === (seen.goal === 'target');
    const outside = world.objects.some(needs) ? 1 : 0;
    switch (step.kind) {
      case 'preflight':
        yield this.#told({ kind: 'preflight', passed: true });
        return;
      case 'count':
        yield this.#told({ kind: 'counted' });
        return;
      case 'fence':
        yield { ...this.#told({ kind: 'fenced' }), zombie: world.zombie === 'none' ? 'none' : 'fenced' };
        return;
      case 'release':
        yield this.#told({ kind: 'freed' });
        return;
      case 'look':
        if (looked.length > 0) yield this.#told(...looked);
        else if (world.stranger === undefined) yield this.#told({ kind: 'unchanged' });
        // Where a stranger stays, the plan looks again.
        else yield world;
        return;
      case 'arrange':
        yield looked.length > 0
          ? this.#told(...looked)
          : this.#told(
              ...step.servers.map((server): PlanEvent => ({
                kind: 'editing',
                server,
                arrangement: step.arrangement,
              })),
            );
        return;
      case 'converge':
        yield* this.#converge(step.servers);
        return;
      case 'canary':
        yield* this.#canary(step.arrangement);
        return;
      case 'rewrite':
        if (looked.length > 0) {
          yield this.#told(...looked);
          return;
        }
        // Every pass raises the fence. It may leave objects behind.
        for (const objects of [union(all(world)), world.objects]) {
          yield {
            ...this.#told({ kind: 'rewriting', pass: step.pass }, { kind: 'rewritten', refused: 0 }),
            objects,
            zombie: world.zombie === 'none' ? 'none' : 'fenced',
          };
        }
        return;
      case 'settle':
        yield {
          ...this.#told({ kind: 'settled' }),
          late: world.late.filter((sealed) => all(world).includes(sealed)),
        };
        return;
      case 'census':
      case 'delta':
        yield this.#told({ kind: step.kind, outside, unknown: 0 });
        return;
      case 'read':
        yield this.#told({ kind: 'read', failed: 0 });
        return;
      case 'soak':
        yield this.#told({ kind: 'soaked' });
        return;
      case 'compaction':
        yield this.#told({ kind: 'compacted' });
        return;
      case 'wait':
        yield this.#told({ kind: 'approved', gate: step.gate });
        return;
      case 'sweep':
        yield {
          ...this.#told({ kind: 'swept' }),
          objects: world.objects.filter((sealed) => sealed !== 'canary'),
        };
        return;
      case 'cleanup':
        yield this.#told({ kind: 'cleaned' });
        return;
      case 'stop':
        yield this.#told({ kind: 'held', reason: step.reason }, { kind: 'released' });
        return;
      case 'hold':
      case 'finish':
        return;
    }
  }

  *#converge(servers: readonly string[]): Generator<World> {
    const world = this.#world;
    for (const server of servers) {
      const i = SERVERS.indexOf(server);
      if (world.running[i] === world.seen.servers[i]?.file && world.disk[i] === world.running[i])
        yield { ...this.#told({ kind: 'loaded', server }), strayed: world.strayed && i !== 0 };
    }
    yield world;
  }

  *#canary(arrangement: Arrangement): Generator<World> {
    const world = this.#world;
    const staging = arrangement === 'target-reads' && world.seen.goal === 'target';
    // Not proven: it is tried again. One that froze in between may put its canary any time later.
    yield staging && this.#has('frozen worker') && world.zombie === 'none'
      ? { ...world, zombie: 'current' }
      : world;
    const runsIt = world.seen.servers.every(({ file }, i) => world.running[i] === file);
    if (!runsIt) return;
    if (staging && (world.split || world.dead)) return;
    if (writingSide(arrangement) === 'target' && world.dead) return;
    yield {
      ...this.#told({ kind: 'proven', arrangement }),
      objects: world.objects.filter((sealed) => sealed !== 'canary'),
    };
  }
}
