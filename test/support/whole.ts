import { expect } from '@jest/globals';
import { type Journal } from '../../lab/journal.ts';
import { verifyContent } from '../../lab/seed.ts';
import { type ControlPlane } from './control-plane.ts';
import { formats, migratedValues } from './etcd.ts';

/** Every seeded object has the content it had, through each of the API servers. */
export async function expectReadable(
  { lab }: ControlPlane,
  objects: number,
  nodes: readonly string[] = lab.nodes,
): Promise<void> {
  for (const node of nodes) {
    expect({ node, ...(await verifyContent(lab, { node })) }).toEqual({
      node,
      checked: objects,
      missing: [],
      different: [],
      unreadable: [],
    });
  }
}

/** Every value of Secrets and ConfigMaps in etcd is in one format. */
export async function expectAllUnder({ lab }: ControlPlane, format: string): Promise<void> {
  const values = await migratedValues(lab);
  expect(formats(values)).toEqual({ [format]: values.length });
}

/** A client that wrote all the while lost nothing. */
export async function expectNothingLost(journal: Journal): Promise<void> {
  const { writes, ...rest } = await journal.check();
  expect(writes).toBeGreaterThan(0);
  expect(rest).toMatchObject({ lost: [], unreadable: [], refused: {} });
}

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
