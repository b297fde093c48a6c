import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Lab } from '../../lab/lab.ts';
import { keyferryMain } from '../../lab/paths.ts';
import { accepts } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findSoftHsm, SoftHsm } from '../../lab/soft-hsm.ts';
import { TRANSIT_KEY, TRANSIT_MOUNT, vaultUrl } from '../../lab/vault.ts';
import { AwsAlone, region } from '../support/aws-alone.ts';
import { type KeyServiceName } from './journey.ts';

const SERVICES: readonly KeyServiceName[] = ['aws-kms', 'vault', 'hsm'];
const TOKEN = 'keyferry';
const HSM_KEY = { label: 'kek', id: '01' };
const READY_WITHIN_MS = 90_000;

/** An AWS emulator, the lab's Vault and an HSM, and a plugin on each node of a lab that serves a key of each. */
export class KeyServices {
  readonly #dir: string;
  readonly #aws: AwsAlone;
  readonly #processes: ProcessTable;

  private constructor(dir: string, aws: AwsAlone) {
    this.#dir = dir;
    this.#aws = aws;
    this.#processes = new ProcessTable(join(dir, 'run'));
  }

  static async up(dir: string, lab: Lab): Promise<KeyServices> {
    const services = new KeyServices(dir, await AwsAlone.up());
    try {
      await services.#start(lab);
      return services;
    } catch (error) {
      await services.down();
      throw error;
    }
  }

  async down(): Promise<void> {
    for (const { name } of this.#processes.list()) await this.#processes.stop(name);
    await this.#aws.down();
  }

  /** `{node}` stands for the node. */
  endpoint(service: KeyServiceName): string {
    return `unix://${this.#socket('{node}', service)}`;
  }

  #socket(node: string, service: KeyServiceName): string {
    return join(this.#dir, `${node}.${service}.sock`);
  }

  async #start(lab: Lab): Promise<void> {
    const hsm = new SoftHsm(await findSoftHsm((line) => console.error(line)), join(this.#dir, 'hsm'));
    const pin = '12345678';
    await hsm.administer(
      { type: 'init-token', token: TOKEN, soPin: '87654321', pin },
      { type: 'make-aes', token: TOKEN, pin, ...HSM_KEY },
    );
    const pinFile = join(this.#dir, 'pin');
    writeFileSync(pinFile, pin, { mode: 0o600 });
    const holders: Record<KeyServiceName, object> = {
      'aws-kms': {
        awsKms: {
          service: 'lab-aws',
          key: await this.#aws.newKey(),
          region,
          endpoint: this.#aws.url,
          credentials: { profile: this.#aws.profile.profile, profileFile: this.#aws.profile.file },
        },
      },
      vault: {
        vaultTransit: {
          service: 'lab-vault',
          address: vaultUrl(lab.config),
          mount: TRANSIT_MOUNT,
          key: TRANSIT_KEY,
          auth: { tokenFile: lab.paths.vault.token },
        },
      },
      hsm: {
        pkcs11: {
          service: 'lab-hsm',
          module: hsm.module,
          token: { label: TOKEN },
          pin: { file: pinFile },
          key: HSM_KEY,
          mechanism: 'AES-GCM',
        },
      },
    };
    await Promise.all(
      lab.nodes.map(async (node) => {
        const config = join(this.#dir, `${node}.yaml`);
        writeFileSync(
          config,
          stringify({
            apiVersion: 'keyferry.dev/v1alpha1',
            kind: 'PluginConfiguration',
            keys: SERVICES.map((name) => ({ name, socket: this.#socket(node, name), ...holders[name] })),
          }),
        );
        await this.#processes.startAndWait({
          name: `${node}.plugin`,
          command: process.execPath,
          args: [keyferryMain(), 'plugin', '--config', config],
          env: hsm.environment,
          log: join(this.#dir, `${node}.plugin.log`),
          readyWithinMs: READY_WITHIN_MS,
          ready: async () => {
            const open = await Promise.all(SERVICES.map((name) => accepts(this.#socket(node, name))));
            return open.every(Boolean);
          },
        });
      }),
    );
  }
}
