import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { KeyferryError } from '../errors.ts';
import { type KeyService } from '../keys/key-service.ts';
import { VaultTransitKeyService } from '../keys/vault-transit.ts';
import { type Logger } from '../telemetry/logger.ts';
import { type PluginConfiguration, type VaultTransitKey } from './config.ts';
import { KmsPluginServer } from './server.ts';

/** Running servers, one per key. */
export interface RunningPlugin {
  /** Lets calls under way end, takes the sockets away, and closes the key services. */
  stop(): Promise<void>;
}

/**
 * Serves every key of a configuration. Resolves once all sockets listen; a key service that is down doesn't hinder that.
 *
 * @throws KeyferryError of {@link KmsPluginServer.start}, `PluginConfigurationInvalid` for a CA file that can't be read;
 *   then nothing is left listening
 */
export async function startPlugin(configuration: PluginConfiguration, log: Logger): Promise<RunningPlugin> {
  const services: KeyService[] = [];
  const servers: KmsPluginServer[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await Promise.all(services.map((service) => service.close()));
  };
  try {
    for (const { name, socket, vaultTransit } of configuration.keys) {
      const keyLog = log.child({ key: name });
      const service = await vaultKeyService(vaultTransit, keyLog);
      services.push(service);
      servers.push(await KmsPluginServer.start(socket, service, keyLog));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}

async function vaultKeyService(key: VaultTransitKey, log: Logger): Promise<KeyService> {
  const { service, address, mount, namespace, auth } = key;
  if (travelsInTheClear(address)) {
    log.warn({ address }, 'DEK seeds and the token travel to this Vault unencrypted; use https');
  }
  return new VaultTransitKeyService(
    {
      service,
      address,
      mount,
      key: key.key,
      auth,
      ...(namespace === undefined ? {} : { namespace }),
      ...(key.caFile === undefined ? {} : { ca: await readCa(key.caFile) }),
    },
    log,
  );
}

function travelsInTheClear(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  const loopback =
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
  return protocol === 'http:' && !loopback;
}

async function readCa(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new KeyferryError(
    'PluginConfigurationInvalid',
    `the CA file ${file} is not there, or holds no certificate`,
    {
      remedy: "put the CA certificate of Vault there as PEM, or leave caFile out to trust the system's",
    },
  );
}
