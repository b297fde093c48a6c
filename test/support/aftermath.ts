import { type Journal } from '../../lab/journal.ts';
import { verifyContent } from '../../lab/seed.ts';
import { type ControlPlane } from './control-plane.ts';
import { formats, migratedValues } from './etcd.ts';

/**
 * What a migration that has ended left behind that it should not have; empty when all is well.
 *
 * @param journal - stopped
 * @param prefix - with which every value should begin in etcd
 */
export async function whatIsWrong(plane: ControlPlane, journal: Journal, prefix: string): Promise<string[]> {
  const wrong: string[] = [];
  const { lost, unreadable } = await journal.check();
  if (lost.length > 0) wrong.push(`${lost.length} writes lost, such as ${JSON.stringify(lost[0])}`);
  if (unreadable.length > 0) {
    wrong.push(
      `${unreadable.length} of the journal's objects unreadable, such as ${JSON.stringify(unreadable[0])}`,
    );
  }
  for (const node of plane.lab.nodes) {
    const { missing, different, unreadable: closed } = await verifyContent(plane.lab, { node });
    const counts = { missing: missing.length, different: different.length, unreadable: closed.length };
    if (Object.values(counts).some((count) => count > 0)) wrong.push(`${node}: ${JSON.stringify(counts)}`);
  }
  const values = await migratedValues(plane.lab);
  const stored = formats(values);
  if (Object.keys(stored).some((format) => format !== prefix)) {
    wrong.push(`in etcd, not only ${prefix}: ${JSON.stringify(stored)}`);
  }
  return wrong;
}
