import type { Clusters } from '../src/cluster/cluster.ts';
import type { PluginConnections } from '../src/kms-plugin/connections.ts';

/** What the activities of a worker are made of. */
export interface ClusterDependencies {
  clusters: Clusters;
}

/** What the activities of an agent are made of. */
export interface AgentDependencies {
  clusters: Clusters;
  /** Of the plugins on its node. */
  plugins: PluginConnections;
  node: string;
  /** The command that restarts this node's API server, run by a shell; set by whoever runs the agent, never by a spec. */
  restartCommand: string | undefined;
}
