import { agentActivities } from './agent.ts';
import { canaryActivities } from './canary.ts';
import { censusActivities } from './census.ts';
import { cleanupActivities } from './cleanup.ts';
import { convergenceActivities } from './convergence.ts';
import { cutoverActivities } from './cutover.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { fenceActivities } from './fence.ts';
import { nativeMigrationActivities } from './native-migration.ts';
import { preflightActivities } from './preflight.ts';
import { rewriteActivities } from './rewrite.ts';
import { scanActivities } from './scan.ts';
import { storageVersionActivities } from './storage-versions.ts';
import { verifyActivities } from './verify.ts';
import { watchActivities } from './watch.ts';

export { agentActivities };
export type { AgentDependencies, ClusterDependencies } from './dependencies.ts';

/** Everything a worker does to a cluster. */
export function clusterActivities(dependencies: ClusterDependencies) {
  return {
    ...preflightActivities(dependencies),
    ...fenceActivities(dependencies),
    ...watchActivities(dependencies),
    ...convergenceActivities(dependencies),
    ...canaryActivities(dependencies),
    ...scanActivities(dependencies),
    ...rewriteActivities(dependencies),
    ...nativeMigrationActivities(dependencies),
    ...censusActivities(dependencies),
    ...verifyActivities(dependencies),
    ...cutoverActivities(dependencies),
    ...storageVersionActivities(dependencies),
    ...cleanupActivities(dependencies),
  };
}

export type ClusterActivities = ReturnType<typeof clusterActivities>;
export type AgentActivities = ReturnType<typeof agentActivities>;
