import { withGeneration } from '../keys/generation.ts';
import { type KeyService } from '../keys/key-service.ts';
import { observed } from '../keys/observed.ts';
import { ResilientKeyService } from '../keys/resilient.ts';
import { type Logger } from '../telemetry/logger.ts';
import { localKekProtection } from './config-protection.ts';
import { type PluginConfiguration, type PluginKey } from './config.ts';
import { PluginHttpServer, type NamedKey } from './http.ts';
import { openKeyService } from './key-services/key-services.ts';
import { Ledger } from './ledger.ts';
import { PluginMetrics } from './metrics.ts';
import { KmsPluginServer } from './server.ts';

/** Running servers, one per key, and what tells of them. */
export interface RunningPlugin {
  /** Where metrics and health are served, if they are. */
  readonly metricsPort: number | undefined;
  /** Lets calls under way end, takes the sockets away, wipes what is in memory, and closes the key services. */
  stop(): Promise<void>;
}

/**
 * Serves every key of a configuration. Resolves once all sockets listen; a key service that is down doesn't hinder that.
 *
 * @throws KeyferryError of {@link KmsPluginServer.start}, {@link openKeyService} and {@link PluginHttpServer.start},
 *   {@link Ledger.open}, `EscrowRecipientInvalid`; then nothing is left listening
 */
export async function startPlugin(configuration: PluginConfiguration, log: Logger): Promise<RunningPlugin> {
  const metrics = new PluginMetrics();
  const services: KeyService[] = [];
  const servers: KmsPluginServer[] = [];
  let http: PluginHttpServer | undefined;
  const stop = async () => {
    await http?.stop();
    await Promise.all(servers.map((server) => server.stop()));
    await Promise.all(services.map((service) => service.close()));
  };
  try {
    const keys: NamedKey[] = [];
    for (const key of configuration.keys) {
      const keyLog = log.child({ key: key.name });
      const service = await openKeyService(key, keyLog);
      services.push(service);
      const server = await serve(key, service, metrics, keyLog);
      servers.push(server);
      keys.push({ name: key.name, key: server.key });
    }
    const address = configuration.metrics?.address;
    if (address !== undefined) http = await PluginHttpServer.start(address, keys, metrics, log);
    return { metricsPort: http?.port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function serve(
  { name, socket, generation, localKek, escrow, rotation }: PluginKey,
  service: KeyService,
  metrics: PluginMetrics,
  log: Logger,
): Promise<KmsPluginServer> {
  const { answered, called } = metrics.observer(name);
  const resilient = new ResilientKeyService(observed(withGeneration(service, generation), called), log);
  const server = await KmsPluginServer.start(socket, resilient, log, {
    ...localKekProtection(localKek),
    // Loaded where there is one: the plugin is back sooner without it.
    escrow: escrow && (await import('../keys/escrow.ts')).escrowTo(escrow.recipients),
    ledger: rotation && (await Ledger.open(rotation.ledger)),
    answered,
  });
  metrics.add({ name, key: server.key, circuit: () => resilient.circuit });
  if (escrow !== undefined) {
    log.warn({ recipients: escrow.recipients }, 'whoever holds an identity of these recipients can decrypt');
  }
  return server;
}
