import { Journal } from '../../lab/journal.ts';
import { type ControlPlane } from '../support/control-plane.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { migratedValues } from '../support/etcd.ts';
import { type MatrixCluster } from './cluster.ts';
import { isKeyService, isRotated, nameOf, type Leg } from './journey.ts';
import { PluginWatch } from './plugin-watch.ts';

/** A migration from one provider to another, and what came of it. */
export interface LegResult extends Leg {
  /** ISO time of its end. */
  readonly at: string;
  /** What does not hold at the end; empty when all is well. */
  readonly wrong: readonly string[];
  readonly objects: number;
  /** Acknowledged writes of a client that wrote meanwhile. */
  readonly writes: number;
  readonly seconds: number;
}

const PATIENCE_MS = 600_000;

/** Migrates, while a client writes through all API servers, and looks at everything afterwards. */
export async function runLeg({ plane, sides, services }: MatrixCluster, leg: Leg): Promise<LegResult> {
  const { source, target } = leg;
  const rotates = source === target && isRotated(target);
  if (rotates) await services.rotate(plane.lab, target);
  const began = Date.now();
  const wrong: string[] = [];
  let objects = 0;
  const journal = await Journal.start(plane.lab, { rate: 10, writers: 2 });
  const plugins = PluginWatch.start(() => plane.configurations());
  try {
    const migration = await plane.start({
      name: nameOf(leg),
      spec: {
        source: sides[source].source,
        target: sides[target].target,
        gates: { cutover: 'Auto', cleanup: 'Auto' },
        rotation: { steadyFor: '2s' },
      },
    });
    const report = await migration.report(PATIENCE_MS);
    objects = report.after?.objects ?? 0;
    if (rotates) wrong.push(...(await notUnder(plane, report.target.replace(/^.*key id /, ''))));
    if (report.outcome !== 'completed') wrong.push(`it ended ${report.outcome}: ${failedChecks(report)}`);
  } catch (error) {
    wrong.push(String(error));
  }
  await journal.stop();
  wrong.push(...(await plugins.stop([...new Set([source, target])].filter(isKeyService))));
  wrong.push(...(await whatIsWrong(plane, journal, sides[target].format)));
  return {
    source,
    target,
    at: new Date().toISOString(),
    wrong,
    objects,
    writes: journal.progress().writes,
    seconds: Math.round((Date.now() - began) / 1000),
  };
}

/** Values in etcd that aren't sealed under this key id; no code of keyferry's is asked. */
async function notUnder(plane: ControlPlane, keyId: string): Promise<string[]> {
  const values = await migratedValues(plane.lab);
  const others = values.filter(({ value }) => !value.includes(keyId));
  return others.length === 0 ? [] : [`${others.length} values are not under the key id ${keyId}`];
}

function failedChecks({
  checks,
}: {
  checks: readonly { outcome: string; name: string; detail: string }[];
}): string {
  return checks
    .filter(({ outcome }) => outcome === 'fail')
    .map(({ name, detail }) => `${name}: ${detail}`)
    .join('; ');
}
