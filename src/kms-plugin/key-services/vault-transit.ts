import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KeyferryError } from '../../errors.ts';
import type { VaultAuth } from '../../keys/vault-session.ts';
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
    kubernetes: z
      .strictObject({
        role: name,
        tokenFile: absolutePath.default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
        mount: mount.default('kubernetes'),
      })
      .optional(),
  })
  .transform(({ tokenFile, appRole, kubernetes }, context): VaultAuth => {
    const ways: VaultAuth[] = [];
    if (tokenFile !== undefined) ways.push({ type: 'token-file', tokenFile });
    if (appRole !== undefined) ways.push({ type: 'approle', ...appRole });
    if (kubernetes !== undefined) ways.push({ type: 'kubernetes', ...kubernetes });
    const [way] = ways;
    if (way !== undefined && ways.length === 1) return way;
    context.addIssue({ code: 'custom', message: 'must have exactly one of tokenFile, appRole, kubernetes' });
    return z.NEVER;
  });

/** A key of a Vault's transit engine. */
export const vaultTransit = keyServiceType({
  schema: z
    .strictObject({
      service: name,
      address,
      mount: mount.default('transit'),
      key: name,
      auth,
      caFile: absolutePath.optional(),
      certFile: absolutePath.optional(),
      keyFile: absolutePath.optional(),
      associatedData: z.string().min(1, 'must not be empty; leave it out for none').max(1024).exactOptional(),
      namespace: z.string().min(1, 'must not be empty; leave it out for the root namespace').optional(),
    })
    .refine(
      ({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined),
      'must have both certFile and keyFile, or neither',
    ),

  async open({ caFile, certFile, keyFile, namespace, ...settings }, log) {
    if (travelsInTheClear(settings.address)) {
      log.warn(
        { address: settings.address },
        'DEK seeds and the token travel to this Vault unencrypted; use https',
      );
    }
    // As with every key service: what only one kind of key needs is loaded with it.
    const { VaultTransitKeyService } = await import('../../keys/vault-transit.ts');
    return new VaultTransitKeyService(
      {
        ...settings,
        ...(namespace === undefined ? {} : { namespace }),
        ...(caFile === undefined ? {} : { ca: await readPem(caFile, 'CERTIFICATE') }),
        ...(certFile === undefined || keyFile === undefined
          ? {}
          : {
              clientCertificate: {
                cert: await readPem(certFile, 'CERTIFICATE'),
                key: await readPem(keyFile, 'PRIVATE KEY'),
              },
            }),
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

async function readPem(file: string, what: 'CERTIFICATE' | 'PRIVATE KEY'): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  if (new RegExp(`-----BEGIN ([A-Z]+ )?${what}-----`).test(text)) return text;
  throw new KeyferryError(
    'PluginConfigurationInvalid',
    `the file ${file} is not there, or holds no ${what.toLowerCase()}`,
    { remedy: `put the ${what.toLowerCase()} there as PEM, readable for this user` },
  );
}
