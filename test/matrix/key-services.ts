import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Lab } from '../../lab/lab.ts';
import { keyferryMain } from '../../lab/paths.ts';
import { accepts } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findSoftHsm, SoftHsm } from '../../lab/soft-hsm.ts';
import { waitFor } from '../../lab/wait.ts';
import { makeTransitKeys, TRANSIT_KEY, TRANSIT_MOUNT, vaultAdmin, vaultUrl } from '../../lab/vault.ts';
import { AwsAlone, otherAccount, otherRegion, region, roleArn } from '../support/aws-alone.ts';
import { withRotation } from '../../src/kms-plugin/rotation-client.ts';
import { isRotated, type KeyServiceName, type RotatedName } from './journey.ts';

const TOKEN = 'keyferry';
const HSM_KEY = { label: 'kek', id: '01' };
const OTHER_TRANSIT_KEY = 'keyferry-2';
const ALIAS = 'alias/keyferry';
const READY_WITHIN_MS = 90_000;
const SEEN_WITHIN_MS = 150_000;

/** An AWS emulator, the lab's Vault and an HSM, and a plugin on each node of a lab that serves keys of theirs. */
export class KeyServices {
  readonly #dir: string;
  readonly #aws: AwsAlone;
  readonly #processes: ProcessTable;

  private constructor(dir: string, aws: AwsAlone) {
    this.#dir = dir;
    this.#aws = aws;
    this.#processes = new ProcessTable(join(dir, 'run'));
  }

  /** @param served - by the plugins, each at a socket of its own */
  static async up(dir: string, lab: Lab, served: readonly KeyServiceName[]): Promise<KeyServices> {
    const services = new KeyServices(dir, await AwsAlone.up());
    try {
      await services.#start(lab, served);
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

  /** Makes a new version of a key, and waits until every plugin has seen it: they ask once a minute. */
  async rotate(lab: Lab, name: RotatedName): Promise<void> {
    if (name === 'vault') {
      const admin = vaultAdmin(lab.config);
      await admin
        .expect('POST', `/v1/${TRANSIT_MOUNT}/keys/${TRANSIT_KEY}/rotate`, {})
        .finally(() => admin.close());
    } else {
      await this.#aws.moveAlias(ALIAS, await this.#aws.newKey());
    }
    await waitFor({ what: 'the plugins to see the new version', timeoutMs: SEEN_WITHIN_MS }, async () => {
      const versions = await Promise.all(
        lab.nodes.map((node) => withRotation(`unix://${this.#socket(node, name)}`, (one) => one.versions())),
      );
      return versions.every(({ announcedKeyId, newestKeyId }) => announcedKeyId !== newestKeyId);
    });
  }

  #socket(node: string, service: KeyServiceName): string {
    return join(this.#dir, `${node}.${service}.sock`);
  }

  async #start(lab: Lab, served: readonly KeyServiceName[]): Promise<void> {
    const hsm = new SoftHsm(await findSoftHsm((line) => console.error(line)), join(this.#dir, 'hsm'));
    const holders: Record<KeyServiceName, object> = {
      ...(await this.#awsKeys()),
      ...(await vaultKeys(lab)),
      hsm: await this.#hsmKey(hsm),
    };
    await Promise.all(
      lab.nodes.map(async (node) => {
        const config = join(this.#dir, `${node}.yaml`);
        writeFileSync(
          config,
          stringify({
            apiVersion: 'keyferry.dev/v1alpha1',
            kind: 'PluginConfiguration',
            keys: served.map((name) => ({
              name,
              socket: this.#socket(node, name),
              ...holders[name],
              ...(isRotated(name) ? { rotation: { ledger: join(this.#dir, `${node}.${name}.json`) } } : {}),
            })),
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
            const open = await Promise.all(served.map((name) => accepts(this.#socket(node, name))));
            return open.every(Boolean);
          },
        });
      }),
    );
  }

  async #awsKeys(): Promise<Record<Extract<KeyServiceName, `aws-kms${string}`>, object>> {
    const credentials = { profile: this.#aws.profile.profile, profileFile: this.#aws.profile.file };
    const holder = (key: string, ofRegion: string, over: object = {}) => ({
      awsKms: {
        service: 'lab-aws',
        key,
        region: ofRegion,
        endpoint: this.#aws.url,
        stsEndpoint: this.#aws.url,
        credentials: { ...credentials, ...over },
      },
    });
    const multiRegion = await this.#aws.newMultiRegionKey();
    await this.#aws.newAlias(ALIAS, await this.#aws.newKey());
    return {
      'aws-kms': holder(await this.#aws.newKey(), region),
      'aws-kms-region': holder(await this.#aws.newKey({}, undefined, otherRegion), otherRegion),
      'aws-kms-account': holder(await this.#aws.newKey({}, otherAccount, otherRegion), otherRegion, {
        assumeRole: { roleArn: roleArn('plugin', otherAccount) },
      }),
      'aws-kms-multi-region': holder(multiRegion, region),
      'aws-kms-replica': holder(multiRegion, otherRegion),
      'aws-kms-alias': holder(ALIAS, region),
    };
  }

  async #hsmKey(hsm: SoftHsm): Promise<object> {
    const pin = '12345678';
    await hsm.administer(
      { type: 'init-token', token: TOKEN, soPin: '87654321', pin },
      { type: 'make-aes', token: TOKEN, pin, ...HSM_KEY },
    );
    const pinFile = join(this.#dir, 'pin');
    writeFileSync(pinFile, pin, { mode: 0o600 });
    return {
      pkcs11: {
        service: 'lab-hsm',
        module: hsm.module,
        token: { label: TOKEN },
        pin: { file: pinFile },
        key: HSM_KEY,
        mechanism: 'AES-GCM',
      },
    };
  }
}

async function vaultKeys(lab: Lab): Promise<Record<Extract<KeyServiceName, `vault${string}`>, object>> {
  const admin = vaultAdmin(lab.config);
  try {
    await makeTransitKeys(admin, [TRANSIT_KEY, OTHER_TRANSIT_KEY]);
  } finally {
    admin.close();
  }
  const holder = (key: string) => ({
    vaultTransit: {
      service: 'lab-vault',
      address: vaultUrl(lab.config),
      mount: TRANSIT_MOUNT,
      key,
      auth: { tokenFile: lab.paths.vault.token },
    },
  });
  return { vault: holder(TRANSIT_KEY), 'vault-2': holder(OTHER_TRANSIT_KEY) };
}
