import { type KeyService } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import { type PluginConfiguration } from './config.ts';
import { openKeyService } from './key-services/key-services.ts';
import { KmsPluginServer } from './server.ts';

/** Running servers, one per key. */
export interface RunningPlugin {
  /** Lets calls under way end, takes the sockets away, and closes the key services. */
  stop(): Promise<void>;
}

/**
 * Serves every key of a configuration. Resolves once all sockets listen; a key service that is down doesn't hinder that.
 *
 * @throws KeyferryError of {@link KmsPluginServer.start} and
 *   {@link openKeyService}; then nothing is left listening
 */
export async function startPlugin(configuration: PluginConfiguration, log: Logger): Promise<RunningPlugin> {
  const services: KeyService[] = [];
  const servers: KmsPluginServer[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await Promise.all(services.map((service) => service.close()));
  };
  try {
    for (const key of configuration.keys) {
      const keyLog = log.child({ key: key.name });
      const service = await openKeyService(key, keyLog);
      services.push(service);
      servers.push(await KmsPluginServer.start(key.socket, service, keyLog));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}
