import { stringify } from 'yaml';
import { type EncryptionContext } from '../../lab/encryption-configuration.ts';
import { type PluginSettings } from '../../lab/keyferry-processes.ts';
import { Lab } from '../../lab/lab.ts';
import { type LabOptions } from '../../lab/options.ts';

/** Of the kms provider in the EncryptionConfiguration, and of the plugin's key. */
export const KMS = 'vault';

/**
 * A lab of one API server, etcd, Vault and a plugin, which encrypts Secrets with the plugin from its first one on. Nothing
 * migrates: there is no Temporal.
 */
export async function kmsLab(
  dir: string,
  pluginSettings: PluginSettings,
  options: Omit<LabOptions, 'dir'> = {},
): Promise<Lab> {
  return await Lab.up({
    dir,
    apiServers: 1,
    temporal: false,
    plugins: true,
    pluginSettings,
    encryptionConfiguration: kmsConfiguration,
    ...options,
  });
}

function kmsConfiguration({ endpoint }: EncryptionContext): string {
  return encryptionOfSecrets({ kms: { apiVersion: 'v2', name: KMS, endpoint, timeout: '3s' } });
}

/** An EncryptionConfiguration with one provider, of Secrets alone. */
export function encryptionOfSecrets(provider: object): string {
  return stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [{ resources: ['secrets'], providers: [provider] }],
  });
}
