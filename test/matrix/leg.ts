import { Journal } from '../../lab/journal.ts';
import { type ControlPlane } from '../support/control-plane.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { isKeyService, nameOf, type Leg, type SideName } from './journey.ts';
import { PluginWatch } from './plugin-watch.ts';
import { type Side } from './sides.ts';

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
export async function runLeg(
  plane: ControlPlane,
  leg: Leg,
  sides: Readonly<Record<SideName, Side>>,
): Promise<LegResult> {
  const { source, target } = leg;
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
      },
    });
    const report = await migration.report(PATIENCE_MS);
    objects = report.after?.objects ?? 0;
    if (report.outcome !== 'completed') wrong.push(`it ended ${report.outcome}: ${failedChecks(report)}`);
  } catch (error) {
    wrong.push(String(error));
  }
  await journal.stop();
  wrong.push(...(await plugins.stop([source, target].filter(isKeyService))));
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
