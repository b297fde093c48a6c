import { appliesIn, hooksOn, passedOver, type AdmissionHook, type Namespace } from '../cluster/admission.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import type { EtcdClient } from '../cluster/etcd.ts';
import type { Resource } from '../cluster/resources.ts';
import type { AdmissionFindings } from '../plan/preflight-objects.ts';
import { probeUpdate, sweepProbes } from './probe.ts';

/** Namespaces tried of one resource: each stands for those in which the same is asked about objects. */
const MAX_PROBES = 12;

/**
 * Tries updates of a resource wherever a webhook or policy is asked about them, and deletes what earlier probes left.
 *
 * Of namespaces with the same labels, in which the same webhooks and policies apply, one is tried.
 */
export async function probeAdmission(
  servers: readonly [ApiServer, ...ApiServer[]],
  etcd: EtcdClient,
  resource: Resource,
  all: readonly AdmissionHook[],
  namespaces: readonly Namespace[],
): Promise<AdmissionFindings> {
  const hooks = hooksOn(resource, all);
  const stuck = await sweepProbes(
    servers[0],
    etcd,
    resource,
    namespaces.map(({ name }) => name),
  );
  const groups = resource.namespaced ? groupsOf(namespaces, hooks) : hooks.length === 0 ? [] : [[undefined]];
  const tried = groups.slice(0, MAX_PROBES);
  const before = await Promise.all(servers.map(passedOver));
  const probes = await Promise.all(
    tried.map(async ([first]) => await probeUpdate(servers, etcd, resource, first?.name)),
  );
  const after = await Promise.all(servers.map(passedOver));
  const rose = after.flatMap((counts, i) =>
    [...counts].filter(([name, count]) => count > (before[i]?.get(name) ?? 0)).map(([name]) => name),
  );
  return {
    hooks,
    probes,
    namespaces: tried.flat().length,
    groupsLeft: groups.length - tried.length,
    passedOver: [...new Set(rose)].filter((name) => hooks.some((hook) => hook.name === name)).sort(),
    stuck,
  };
}

/** Namespaces in which something is asked, by what is asked and their labels; one of each set of hooks comes first. */
function groupsOf(namespaces: readonly Namespace[], hooks: readonly AdmissionHook[]): Namespace[][] {
  const bySet = new Map<string, Map<string, Namespace[]>>();
  for (const namespace of namespaces) {
    const asked = hooks.flatMap((hook, i) => (appliesIn(hook, namespace) ? [i] : []));
    if (asked.length === 0) continue;
    // Every namespace has its own name for a label.
    const { 'kubernetes.io/metadata.name': _own, ...labels } = namespace.labels;
    const set = bySet.get(asked.join()) ?? new Map<string, Namespace[]>();
    const key = JSON.stringify(Object.entries(labels).sort());
    set.set(key, [...(set.get(key) ?? []), namespace]);
    bySet.set(asked.join(), set);
  }
  const sets = [...bySet.values()].map((set) => [...set.values()]);
  return [...sets.flatMap((set) => set.slice(0, 1)), ...sets.flatMap((set) => set.slice(1))];
}
