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
