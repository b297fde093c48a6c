import { describe, expect, it } from '@jest/globals';
import { compatible, writingSide, type Arrangement, type Side } from './arrangement.ts';
import { advance, initial, type PlanEvent } from './state.ts';
import { decide, type Observed, type Step } from './transition.ts';

/**
 * Every history of a small cluster: two API servers that take up their files when they like, objects that land under
 * whatever writes, a census that sees what is there, and a rollback at any moment. In no state that can be reached does
 * an API server lack the key of an object, or of what another may be writing.
 */
interface World {
  seen: Observed;
  /** What each process really runs; the plan doesn't see it. */
  running: Arrangement[];
  /** Under which sides objects lie. */
  objects: readonly Side[];
}

const SERVERS = ['a', 'b'];

function reads(arrangement: Arrangement): Side[] {
  if (arrangement === 'source-only') return ['source'];
  return arrangement === 'target-only' ? ['target'] : ['source', 'target'];
}

function landing(world: World): readonly Side[] {
  return [...new Set([...world.objects, ...world.running.map(writingSide)])].sort();
}

/** All that may come of a step, and all that may happen meanwhile. */
function* successors(world: World): Generator<World> {
  // A process takes up the file that lies there, at any moment; clients write through any server at any moment.
  for (const [i, server] of world.seen.servers.entries()) {
    if (world.running[i] === server.file) continue;
    const next = { ...world, running: world.running.map((one, at) => (at === i ? server.file : one)) };
    yield { ...next, objects: landing(next) };
  }
  const told = (...events: PlanEvent[]): World => ({ ...world, seen: events.reduce(advance, world.seen) });
  const { seen } = world;
  if (seen.goal === 'target' && !seen.approved.cleanup) yield told({ kind: 'turned', goal: 'source' });
  const step = decide(seen);
  yield* outcomes(world, step, told);
}

function* outcomes(world: World, step: Step, told: (...events: PlanEvent[]) => World): Generator<World> {
  const { seen } = world;
  switch (step.kind) {
    case 'preflight':
      yield told({ kind: 'preflight', passed: true });
      return;
    case 'count':
      yield told({ kind: 'counted' });
      return;
    case 'arrange':
      yield told(
        ...step.servers.map((server): PlanEvent => ({
          kind: 'editing',
          server,
          arrangement: step.arrangement,
        })),
      );
      return;
    case 'converge':
      for (const server of step.servers) {
        const i = SERVERS.indexOf(server);
        if (world.running[i] === seen.servers[i]?.file) yield told({ kind: 'loaded', server });
      }
      return;
    case 'canary':
      yield told({ kind: 'proven', arrangement: step.arrangement });
      return;
    case 'rewrite': {
      const rewritten = {
        ...told({ kind: 'rewriting', pass: step.pass }, { kind: 'rewritten', refused: 0 }),
        objects: [...new Set(world.running.map(writingSide))],
      };
      yield rewritten;
      // A pass may leave objects behind.
      yield told({ kind: 'rewriting', pass: step.pass }, { kind: 'rewritten', refused: 0 });
      return;
    }
    case 'census':
      yield told({
        kind: 'census',
        outside: world.objects.includes(seen.goal === 'target' ? 'source' : 'target') ? 1 : 0,
        unknown: 0,
      });
      return;
    case 'read':
      yield told({ kind: 'read', failed: 0 });
      return;
    case 'settle':
      yield told({ kind: 'settled' });
      return;
    case 'soak':
      yield told({ kind: 'soaked' });
      return;
    case 'compaction':
      yield told({ kind: 'compacted' });
      return;
    case 'wait':
      yield told({ kind: 'approved', gate: step.gate });
      return;
    case 'cleanup':
      yield told({ kind: 'cleaned' });
      return;
    case 'stop':
    case 'hold':
    case 'finish':
      return;
  }
}

function wrong(world: World): string | undefined {
  for (const arrangement of world.running) {
    const lost = world.objects.find((side) => !reads(arrangement).includes(side));
    if (lost !== undefined) return `a server that runs ${arrangement} can't read objects under the ${lost}`;
  }
  for (const a of world.seen.servers.flatMap((server) => server.mayRun)) {
    for (const b of world.seen.servers.flatMap((server) => server.mayRun)) {
      if (!compatible(a, b)) return `${a} may run beside ${b}`;
    }
  }
  return undefined;
}

function explore(takeUp: Observed['takeUp']): {
  states: number;
  wrong: string[];
  ends: Set<string>;
  stuck: string[];
} {
  const first: World = {
    seen: initial(SERVERS, takeUp),
    running: ['source-only', 'source-only'],
    objects: ['source'],
  };
  const known = new Set<string>();
  const queue = [first];
  const result = { states: 0, wrong: [] as string[], ends: new Set<string>(), stuck: [] as string[] };
  for (let world = queue.pop(); world !== undefined; world = queue.pop()) {
    const id = JSON.stringify(world);
    if (known.has(id)) continue;
    known.add(id);
    const trouble = wrong(world);
    if (trouble !== undefined) {
      result.wrong.push(trouble);
      continue;
    }
    const step = decide(world.seen);
    if (step.kind === 'finish') {
      result.ends.add(step.outcome);
      continue;
    }
    const next = [...successors(world)];
    if (next.length === 0 && step.kind !== 'stop') result.stuck.push(`${step.phase}: ${step.kind}`);
    queue.push(...next);
  }
  return { ...result, states: known.size };
}

describe.each(['Reload', 'Restart'] as const)(
  'every history of two API servers that take files up by %s',
  (takeUp) => {
    const found = explore(takeUp);

    it('keeps every object readable through every API server', () => expect(found.wrong).toEqual([]));
    it('never gets stuck', () => expect(found.stuck).toEqual([]));
    it('can end completed and rolled back', () =>
      expect([...found.ends].sort()).toEqual(['completed', 'rolled-back']));
    it('was explored, not skipped', () => expect(found.states).toBeGreaterThan(150));
  },
);
