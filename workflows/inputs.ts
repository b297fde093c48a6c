import { nodeFile, nodeOf } from '../src/plan/sides.ts';
import { provenWaivers } from '../src/plan/waivers.ts';
import type { Expected } from '../src/plan/watch.ts';
import type { MigrationSpec } from '../src/spec/migration.ts';
import type { Run } from './run.ts';
import type {
  EtcdAgents,
  FenceInput,
  GuardedInput,
  LookInput,
  MigrationState,
  WaivedValue,
} from './types.ts';

/** What the inputs of a migration's activities and children are made of. */
interface Known {
  spec: MigrationSpec;
  state: MigrationState;
}

/** What lets a writer write only for as long as nothing has changed. */
export function guardOf(run: Run & Known): GuardedInput {
  return { ...fenceOf(run), ...lookInput(run), expected: expectations(run) };
}

export function fenceOf({ cluster, state }: Run): FenceInput {
  return { cluster, fence: { holder: state.id, epoch: state.epoch } };
}

export function lookInput({ spec, state }: Known): LookInput {
  const known = Object.values(state.loaded).flatMap(({ identity }) =>
    identity === undefined ? [] : [identity],
  );
  return { cluster: spec.cluster, known };
}

/** What each API server may be seen to run; of one that has settled, also in which process. */
export function expectations({ state }: Known): Record<string, Expected> {
  return Object.fromEntries(
    state.seen.servers.flatMap(({ name, mayRun, doubted }): [string, Expected][] => {
      const hashes = state.hashes[name];
      if (hashes === undefined || doubted) return [];
      const loaded = mayRun.length === 1 ? state.loaded[name] : undefined;
      const { sealing } = state;
      return [
        [
          name,
          {
            hashes: mayRun.map((one) => hashes[one]),
            ...(loaded === undefined ? {} : { loaded }),
            sealing,
          },
        ],
      ];
    }),
  );
}

/** The values that are waived, as an input has them. */
export function waivedBy({ state }: Pick<Known, 'state'>): { waived?: WaivedValue[] } {
  const waived = provenWaivers(state.waivers);
  return waived.length === 0 ? {} : { waived };
}

/** Of the engine `Etcd`: the nodes whose agents rewrite, each by what its API server runs now. */
export function etcdAgentsOf({ spec, state }: Known): { agents?: EtcdAgents } {
  if (spec.engine !== 'Etcd') return {};
  const nodes = spec.cluster.apiServers.map((server) => {
    const { file: arrangement } = state.seen.servers.find(({ name }) => name === server.name) ?? {};
    const node = nodeOf(server);
    const hash = (arrangement && state.hashes[server.name]?.[arrangement]) ?? 'unknown';
    return { node, file: nodeFile(spec, node).file, hash };
  });
  const { sealing } = state;
  return { agents: { nodes, ...(sealing === undefined ? {} : { sealing }) } };
}
