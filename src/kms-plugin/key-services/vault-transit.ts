import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KeyferryError } from '../../errors.ts';
import { type VaultAuth } from '../../keys/vault-session.ts';
import { VaultTransitKeyService } from '../../keys/vault-transit.ts';
import { absolutePath, address, name, travelsInTheClear } from './fields.ts';
import { keyServiceType } from './key-service-type.ts';

const mount = z
  .string()
  .regex(
    /^[-_.A-Za-z0-9]+(\/[-_.A-Za-z0-9]+)*$/,
    'must be a mount path without slashes at its ends, as in transit',
  )
  .refine(
    (path) => path.split('/').every((part) => part !== '.' && part !== '..'),
    'must not hold "." or ".."',
  )
  .refine((path) => path.length <= 200, 'must have 200 characters at most');

const auth = z
  .strictObject({
    tokenFile: absolutePath.optional(),
    appRole: z
      .strictObject({ roleIdFile: absolutePath, secretIdFile: absolutePath, mount: mount.default('approle') })
      .optional(),
  })
  .transform(({ tokenFile, appRole }, context): VaultAuth => {
    if (tokenFile !== undefined && appRole === undefined) return { type: 'token-file', tokenFile };
    if (tokenFile === undefined && appRole !== undefined) return { type: 'approle', ...appRole };
    context.addIssue({ code: 'custom', message: 'must have either tokenFile or appRole' });
    return z.NEVER;
  });

/** A key of a Vault's transit engine. */
export const vaultTransit = keyServiceType({
  schema: z.strictObject({
    service: name,
    address,
    mount: mount.default('transit'),
    key: name,
    auth,
    caFile: absolutePath.optional(),
    namespace: z.string().min(1, 'must not be empty; leave it out for the root namespace').optional(),
  }),

  async open({ caFile, namespace, ...settings }, log) {
    if (travelsInTheClear(settings.address)) {
      log.warn(
        { address: settings.address },
        'DEK seeds and the token travel to this Vault unencrypted; use https',
      );
    }
    return new VaultTransitKeyService(
      {
        ...settings,
        ...(namespace === undefined ? {} : { namespace }),
        ...(caFile === undefined ? {} : { ca: await readCa(caFile) }),
      },
      log,
    );
  },

  // Key ids are made of the service's name: two Vaults under one name would share them.
  conflict: (settings, other) =>
    settings.service === other.service &&
    (settings.address !== other.address || settings.namespace !== other.namespace)
      ? 'has the service of another key, but not its address and namespace'
      : undefined,
});

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
