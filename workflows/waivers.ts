import { everyServerReadsBoth, objectId } from '../src/plan/waivers.ts';
import { cluster } from './activities.ts';
import type { MigrationRun } from './migration-run.ts';
import type { Waiver } from './types.ts';

/**
 * Asks the API servers for everything that was waived: what one of them can read is waived no longer, and the timeline
 * says so. Once a side is leaving, an answer proves nothing, and what was proven before stands.
 */
export async function checkWaivers(run: MigrationRun): Promise<void> {
  const asked = run.state.waivers;
  if (asked.length === 0 || !everyServerReadsBoth(run.state.seen)) return;
  run.waitFor('the API servers to say whether they can read what was waived');
  const verdicts = await cluster.checkWaivers({
    cluster: run.spec.cluster,
    resources: run.state.resources,
    objects: asked.map(({ resource, namespace, name }) => ({
      resource,
      name,
      ...(namespace === undefined ? {} : { namespace }),
    })),
  });
  const proven: Waiver[] = [];
  asked.forEach((waiver, i) => {
    const verdict = verdicts[i];
    if (verdict === undefined) return;
    const id = objectId(waiver);
    if (!verdict.holds) {
      run.note({ actor: 'keyferry', verified: true, what: `waiver of ${id} refused`, reason: verdict.why });
      return;
    }
    const { key, modRevision, found } = verdict;
    proven.push({ ...waiver, proof: { key, modRevision, found } });
    if (waiver.proof?.modRevision === modRevision) return;
    run.note({
      actor: 'keyferry',
      verified: true,
      what: `waived ${id}`,
      reason: `no API server can read it (${found}); it is left as it is`,
    });
  });
  // Others may have been asked for meanwhile: they are looked at by the next census.
  const ids = new Set(proven.map(objectId));
  run.patch({
    waivers: [...proven, ...run.state.waivers.filter((waiver) => !asked.includes(waiver))],
    refusals: run.state.refusals.filter((refusal) => !ids.has(objectId(refusal))),
  });
  run.waitFor(undefined);
}
