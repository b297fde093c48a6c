import { once } from 'node:events';
import { Command } from 'commander';
import { loadPluginConfiguration } from '../../kms-plugin/config.ts';
import { startPlugin } from '../../kms-plugin/plugin.ts';
import { KeyferryError } from '../../errors.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { pluginCheckCommand } from './plugin-check.ts';

/** `keyferry plugin`: serves keys to API servers by Kubernetes' KMS v2 protocol. */
export function pluginCommand(): Command {
  return new Command('plugin')
    .description(
      'Serve keys to API servers as a KMS v2 plugin, one unix socket per key, until SIGTERM or SIGINT.',
    )
    .option('--config <file>', 'a PluginConfiguration (YAML); needed')
    .addCommand(pluginCheckCommand())
    .action(async ({ config }: { config?: string }) => {
      // Not a required option: commander would ask for it with "plugin check" too.
      if (config === undefined) {
        throw new KeyferryError('UsagePluginConfiguration', 'no PluginConfiguration is named', {
          remedy: 'name one with --config; "keyferry plugin check" looks at a plugin that runs',
        });
      }
      const configuration = await loadPluginConfiguration(config);
      const log = createLogger('plugin');
      const stopAsked = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
      const plugin = await startPlugin(configuration, log);
      log.info({ keys: configuration.keys.map(({ name, socket }) => ({ name, socket })) }, 'ready');
      await stopAsked;
      log.info('stopping: letting calls under way end');
      await plugin.stop();
      log.info('stopped');
    });
}
