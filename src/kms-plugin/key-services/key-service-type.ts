import { type z } from 'zod';
import { type KeyService } from '../../keys/key-service.ts';
import { type Logger } from '../../telemetry/logger.ts';

/** One kind of key service: what a PluginConfiguration says of it, and how that becomes a {@link KeyService}. */
export interface KeyServiceType<Schema extends z.ZodType> {
  readonly schema: Schema;
  /**
   * Opens it, without asking the service itself: one that is down doesn't hinder the plugin from starting.
   *
   * @throws KeyferryError `PluginConfigurationInvalid` for a file that the configuration names and that can't be used
   */
  open(settings: z.infer<Schema>, log: Logger): Promise<KeyService>;
  /** Why the second can't stand beside the first in one configuration; `undefined` when it can. */
  conflict(settings: z.infer<Schema>, other: z.infer<Schema>): string | undefined;
}

/** For inference: says what kind of key service an object literal is of. */
export function keyServiceType<Schema extends z.ZodType>(
  type: KeyServiceType<Schema>,
): KeyServiceType<Schema> {
  return type;
}
