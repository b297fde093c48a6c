import { z } from 'zod';
import { pkcs11Mechanisms } from '../../keys/pkcs11-key-id.ts';
import { type PinReference } from '../../keys/pkcs11-pin.ts';
import { Pkcs11KeyService } from '../../keys/pkcs11.ts';
import { absolutePath, name } from './fields.ts';
import { keyServiceType } from './key-service-type.ts';

const text = z.string().min(1, 'must not be empty');

const pin = z
  .strictObject({
    file: absolutePath.optional(),
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable')
      .optional(),
  })
  .transform(({ file, env }, context): PinReference => {
    if (file !== undefined && env === undefined) return { type: 'file', file };
    if (file === undefined && env !== undefined) return { type: 'env', name: env };
    context.addIssue({ code: 'custom', message: 'must have either file or env' });
    return z.NEVER;
  });

const token = z
  .strictObject({ label: text.max(32, 'has 32 characters at most').optional(), serial: text.optional() })
  .refine(({ label, serial }) => label !== undefined || serial !== undefined, 'must have label or serial')
  .transform(withoutUndefined);

const key = z
  .strictObject({
    label: text.optional(),
    id: z
      .string()
      .regex(/^([0-9a-f]{2})+$/, 'must be a CKA_ID in lower-case hex, as in "01"')
      .optional(),
  })
  .refine(({ label, id }) => label !== undefined || id !== undefined, 'must have label or id')
  .transform(withoutUndefined);

/** A key of an HSM, by its vendor's PKCS#11 module. */
export const pkcs11 = keyServiceType({
  schema: z.strictObject({
    service: name,
    module: absolutePath,
    token,
    pin,
    key,
    mechanism: z.enum(pkcs11Mechanisms),
    ivFrom: z.enum(['Plugin', 'Token']).default('Plugin'),
    sessions: z.int().min(1).max(16).default(2),
  }),
  open: (settings, log) => Promise.resolve(new Pkcs11KeyService(settings, log)),
  // Key ids are made of the service's name, and of a key's check value, which is short.
  conflict: (settings, other) =>
    settings.service === other.service &&
    (settings.module !== other.module ||
      settings.token.label !== other.token.label ||
      settings.token.serial !== other.token.serial)
      ? 'has the service of another key, but not its module and token'
      : undefined,
});

/** For exactOptionalPropertyTypes: what isn't there isn't there, rather than undefined. */
function withoutUndefined<T extends object>(given: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
