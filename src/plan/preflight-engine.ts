import { judged, type Asked, type Check } from './preflight.ts';

/** What an agent found that is to rewrite by the engine `Etcd`. */
export interface EtcdEngineFindings {
  /** API servers that it could not ask. */
  silent: readonly string[];
  /** Objects that it tried to open by its node's configuration, and those that it could not. */
  tried: number;
  unopened: number;
}

/** Whether the agent of a node could rewrite by the engine `Etcd`: pure. */
export function judgeEtcdEngine(node: string, asked: Asked<EtcdEngineFindings>): Check {
  return judged(`engine Etcd on ${node}`, asked, ({ silent, tried, unopened }) => {
    if (silent.length > 0) {
      return {
        outcome: 'fail',
        passing: true,
        detail: `the agent can't ask ${silent.join(', ')}`,
        remedy: `let ${node} reach every API server, with the kubeconfig that the spec names: an agent looks at them while it rewrites`,
      };
    }
    if (tried > 0 && unopened === tried) {
      return {
        outcome: 'fail',
        detail: `none of ${tried} objects opens by the configuration of ${node}`,
        remedy: "see that the node's plugins answer, and that the spec's etcd prefix is the API servers'",
      };
    }
    if (unopened > 0) {
      return {
        outcome: 'warn',
        detail: `${unopened} of ${tried} objects don't open by the configuration of ${node}`,
        remedy: 'rewriting will refuse such objects by name, and leave them alone',
      };
    }
    return { outcome: 'pass', detail: `reaches etcd and every API server, and opened ${tried} objects` };
  });
}

/** What whoever chooses the engine should know, whatever the cluster is like. */
export const WATCHERS_CHECK: Check = {
  name: 'watchers',
  outcome: 'warn',
  detail:
    'the engine Etcd writes faster than API servers pass on to those that watch: every object is seen as modified',
  remedy:
    'where controllers do much for each change, set spec.pace.objectsPerSecond, or take the engine APIServer',
};
