import type { z } from 'zod';
import { type KeyService } from '../../keys/key-service.ts';
import { type Logger } from '../../telemetry/logger.ts';
import { awsKms } from './aws-kms.ts';
import { local } from './local.ts';
import { pkcs11 } from './pkcs11.ts';
import { vaultTransit } from './vault-transit.ts';

/** The fields of a key that say who holds it. One kind of key service is one field here, and one file beside this one. */
export const keyServiceFields = {
  vaultTransit: vaultTransit.schema.optional(),
  awsKms: awsKms.schema.optional(),
  local: local.schema.optional(),
  pkcs11: pkcs11.schema.optional(),
};

/** Who holds a key: exactly one field is there. */
export type KeyServiceSettings = z.infer<z.ZodObject<typeof keyServiceFields>>;

/** What is wrong with the number of key services that are named; `undefined` when it is one. */
export function numberProblem(settings: KeyServiceSettings): string | undefined {
  const fields = Object.keys(keyServiceFields) as (keyof KeyServiceSettings)[];
  const named = fields.filter((field) => settings[field] !== undefined);
  return named.length === 1 ? undefined : `must have exactly one of ${fields.join(', ')}`;
}

/** Why the first can't stand beside the other in one configuration, and the field to blame; `undefined` when it can. */
export function conflictOf(
  settings: KeyServiceSettings,
  other: KeyServiceSettings,
): { readonly field: string; readonly message: string } | undefined {
  if (settings.vaultTransit !== undefined && other.vaultTransit !== undefined) {
    const message = vaultTransit.conflict(settings.vaultTransit, other.vaultTransit);
    if (message !== undefined) return { field: 'vaultTransit', message };
  }
  if (settings.pkcs11 !== undefined && other.pkcs11 !== undefined) {
    const message = pkcs11.conflict(settings.pkcs11, other.pkcs11);
    if (message !== undefined) return { field: 'pkcs11', message };
  }
  return undefined;
}

/**
 * The key service that is named; it isn't asked for anything yet.
 *
 * @throws KeyferryError `PluginConfigurationInvalid` for a file that the configuration names and that can't be used
 */
export async function openKeyService(settings: KeyServiceSettings, log: Logger): Promise<KeyService> {
  if (settings.vaultTransit !== undefined) return await vaultTransit.open(settings.vaultTransit, log);
  if (settings.awsKms !== undefined) return await awsKms.open(settings.awsKms, log);
  if (settings.local !== undefined) return await local.open(settings.local, log);
  if (settings.pkcs11 !== undefined) return await pkcs11.open(settings.pkcs11, log);
  throw new Error(numberProblem(settings));
}
