import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { MatrixCluster } from '../matrix/cluster.ts';
import { nameOf, type Journey } from '../matrix/journey.ts';
import { runLeg } from '../matrix/leg.ts';
import { CleanUp } from './clean-up.ts';

const SEED = { secrets: 60, configMaps: 10 };

/**
 * Tests that one cluster goes all legs of a journey. Nearly all of a leg's time are waits: its API servers are restarted
 * three times, one after the other, and a value that was sealed before the writer changed is given its time to land.
 */
export function describeJourney(what: string, journey: Journey): void {
  jest.setTimeout(400_000);

  describe(what, () => {
    const cleanUp = new CleanUp();
    const gone: string[] = [];
    let cluster: MatrixCluster;

    beforeAll(async () => {
      cluster = cleanUp.keep(await MatrixCluster.up(journey, { seed: SEED }), (up) => up.down());
    }, 900_000);

    afterAll(() => cleanUp.run());

    test.each(journey.map((leg, i) => [nameOf(leg), leg, i] as const))('%s', async (name, leg, i) => {
      // Each begins where the one before has to end.
      expect(gone).toEqual(journey.slice(0, i).map(nameOf));
      const { wrong, objects, writes } = await runLeg(cluster, leg);
      expect(wrong).toEqual([]);
      expect(objects).toBeGreaterThanOrEqual(SEED.secrets + SEED.configMaps);
      expect(writes).toBeGreaterThan(0);
      gone.push(name);
    });
  });
}
