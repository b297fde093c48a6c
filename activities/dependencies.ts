import type { Clusters } from '../src/cluster/cluster.ts';

/** What the activities of a worker are made of. */
export interface ClusterDependencies {
  clusters: Clusters;
}

/** What the activities of an agent are made of. */
export interface AgentDependencies {
  node: string;
  /** The command that restarts this node's API server, run by a shell; set by whoever runs the agent, never by a spec. */
  restartCommand: string | undefined;
}
