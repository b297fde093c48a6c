import { isCancellation } from '@temporalio/workflow';
import { arrived } from '../src/plan/format-sample.ts';
import { arrivedOf } from '../src/plan/version-tally.ts';
import { about, agentOf } from './activities.ts';
import type { ClusterSpec } from '../src/spec/migration.ts';
import type { NativeInput } from './native-types.ts';
import type { NodeAgent, VersionsChunkResult } from './storage-version-types.ts';
import type { Resource } from './types.ts';

/** How many objects are where they shall be by now, by a count that ends in time: of more, as many as the first ones tell. */
export interface ArrivedSample {
  arrived: number;
  /** etcd's revision when it was begun. */
  revision: number;
  /** Milliseconds that it took. */
  tookMs: number;
}

export async function sampleArrived({
  cluster,
  resource,
  name,
  progress,
}: NativeInput): Promise<ArrivedSample | undefined> {
  if (progress === undefined) return undefined;
  const does = about(`${resource.name}: ${name}`);
  if ('target' in progress) {
    const { goal, target, names } = progress;
    const sample = await does.sampleFormat({ cluster, resource, target, names });
    return { arrived: arrived(sample, goal), revision: sample.revision, tookMs: sample.tookMs };
  }
  const began = Date.now();
  const { tally, cursor } =
    progress.openedBy.length === 0
      ? await does.versionsChunk({ cluster, resource })
      : await openedByAny(progress.openedBy, cluster, resource);
  const all = cursor === undefined ? tally.objects : await does.countObjects({ cluster, resource });
  return { arrived: arrivedOf(tally, all), revision: tally.revision, tookMs: Date.now() - began };
}

/** By the first agent that isn't away, and reaches its plugin. */
async function openedByAny(
  [agent, ...others]: NodeAgent[],
  cluster: ClusterSpec,
  resource: Resource,
): Promise<VersionsChunkResult> {
  if (agent === undefined) throw new Error('the schema lets no cluster without API servers pass');
  try {
    return await agentOf(cluster.name, agent.node).openVersionsChunk({ cluster, resource, file: agent.file });
  } catch (error) {
    if (isCancellation(error) || others.length === 0) throw error;
    return await openedByAny(others, cluster, resource);
  }
}
