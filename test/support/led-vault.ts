import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EncryptionContext } from '../../lab/encryption-configuration.ts';
import { TRANSIT_KEY, TRANSIT_MOUNT, vaultAdmin } from '../../lab/vault.ts';
import { waitFor } from '../../lab/wait.ts';
import { withRotation, type RotationClient } from '../../src/kms-plugin/rotation-client.ts';
import { ControlPlane, type ControlPlaneOptions } from './control-plane.ts';
import { migratedValues } from './etcd.ts';

const WITHIN_MS = 90_000;

/**
 * A cluster that is encrypted with Vault from the beginning, by plugins that announce a new version of their key only when told,
 * and whose key was rotated in Vault since.
 */
export class LedVault {
  readonly plane: ControlPlane;
  readonly #ledgers: string;

  private constructor(plane: ControlPlane, ledgers: string) {
    this.plane = plane;
    this.#ledgers = ledgers;
  }

  static async up(options: ControlPlaneOptions = {}): Promise<LedVault> {
    const ledgers = mkdtempSync(join(tmpdir(), 'kf-ledgers-'));
    const plane = await ControlPlane.up({
      encryptionConfiguration: encryptedByVault,
      pluginSettings: { key: (node) => ({ rotation: { ledger: join(ledgers, `${node}.json`) } }) },
      ...options,
    });
    const led = new LedVault(plane, ledgers);
    const vault = vaultAdmin(plane.lab.config);
    try {
      await vault.expect('POST', `/v1/${TRANSIT_MOUNT}/keys/${TRANSIT_KEY}/rotate`, {});
      await waitFor({ what: 'the plugins to see the new version', timeoutMs: WITHIN_MS }, async () => {
        const seen = await Promise.all(plane.lab.nodes.map((node) => led.ask(node, (one) => one.versions())));
        return seen.every(({ announcedKeyId, newestKeyId }) => newestKeyId !== announcedKeyId);
      });
    } catch (error) {
      await led.down();
      throw error;
    } finally {
      vault.close();
    }
    return led;
  }

  async down(): Promise<void> {
    await this.plane.down();
    rmSync(this.#ledgers, { recursive: true, force: true });
  }

  /** As whoever leads a rotation asks the plugin of a node. */
  async ask<T>(node: string, question: (client: RotationClient) => Promise<T>): Promise<T> {
    return await withRotation(`unix://${this.plane.lab.paths.node(node).socket}`, question);
  }

  /** The versions of the key that values in etcd lie under; no code of keyferry's is asked. */
  async versionsAtRest(): Promise<string[]> {
    const values = await migratedValues(this.plane.lab);
    const versions = values.map(({ value }) => /\/(v[0-9]+)@[0-9]+/.exec(value.toString('latin1'))?.[1]);
    return [...new Set(versions.map(String))].sort();
  }

  /** Fields of a Migration within the cluster's one kms entry. */
  rotationSpec(): Record<string, unknown> {
    const endpoint = `unix://${this.plane.lab.paths.node('{node}').socket}`;
    return {
      source: { kms: { name: 'vault' } },
      target: { kms: { name: 'vault', endpoint } },
      rotation: { steadyFor: '2s' },
    };
  }
}

function encryptedByVault({ endpoint }: EncryptionContext): string {
  return `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - kms: { apiVersion: v2, name: vault, endpoint: "${endpoint}", timeout: 3s }
`;
}
