import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SeedOptions } from '../../lab/seed.ts';
import { CleanUp } from '../support/clean-up.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { isKeyService, type Journey, type SideName } from './journey.ts';
import { KeyServices } from './key-services.ts';
import { KeyFiles, sidesOf, type Side } from './sides.ts';

/** A control plane with a plugin on each node for the key services of a journey, and the keys of local providers in files. */
export class MatrixCluster {
  readonly plane: ControlPlane;
  readonly sides: Readonly<Record<SideName, Side>>;
  readonly services: KeyServices;
  readonly #cleanUp: CleanUp;

  private constructor(
    plane: ControlPlane,
    sides: Record<SideName, Side>,
    services: KeyServices,
    cleanUp: CleanUp,
  ) {
    this.plane = plane;
    this.sides = sides;
    this.services = services;
    this.#cleanUp = cleanUp;
  }

  /** Encrypted by what a journey begins with, and ready for all its legs. */
  static async up(
    journey: Journey,
    { seed, signal }: { readonly seed: SeedOptions; readonly signal?: AbortSignal },
  ): Promise<MatrixCluster> {
    const first = journey[0]?.source ?? 'identity';
    if (isKeyService(first))
      throw new Error(`an API server can't start with ${first} before its plugin runs`);
    const served = new Set(journey.flatMap(({ source, target }) => [source, target]).filter(isKeyService));
    const cleanUp = new CleanUp();
    try {
      const dir = cleanUp.keep(mkdtempSync(join(tmpdir(), 'kf-m')), (made) => rm(made, { recursive: true }));
      const files = new KeyFiles(join(dir, 'keys'));
      const up = await ControlPlane.up({
        plugins: false,
        vault: true,
        seed,
        encryptionConfiguration: () => files.configuration(first),
        ...(signal === undefined ? {} : { signal }),
      });
      const plane = cleanUp.keep(up, (one) => one.down());
      const services = cleanUp.keep(await KeyServices.up(dir, plane.lab, [...served]), (one) => one.down());
      return new MatrixCluster(
        plane,
        sidesOf(files, (name) => services.endpoint(name)),
        services,
        cleanUp,
      );
    } catch (error) {
      await cleanUp.run();
      throw error;
    }
  }

  async down(): Promise<void> {
    await this.#cleanUp.run();
  }
}
