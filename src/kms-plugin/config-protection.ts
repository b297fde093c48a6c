import { isIP } from 'node:net';
import ms, { type StringValue } from 'ms';
import { z } from 'zod';
import { escrowRecipientPattern } from '../keys/escrow-recipients.ts';
import { absolutePath } from './key-services/fields.ts';
import { type KeyProtection } from './served-key.ts';

/** Milliseconds, of a duration as Kubernetes writes the simple ones. */
const duration = z
  .string()
  .regex(/^[1-9][0-9]{0,5}(s|m|h|d)$/, 'must be a number with a unit: 30s, 5m, 12h or 7d')
  .transform((text) => ms(text as StringValue));

const localKek = z
  .strictObject({
    enabled: z.boolean().default(true),
    maxAge: duration.prefault('7d'),
    // Far below the 2³² after which random nonces of AES-GCM are no longer safe.
    maxUses: z.int().min(1).max(1e9).default(1_000_000),
    cachedKeys: z.int().min(1).max(100_000).default(1_000),
    cachedFor: duration.prefault('24h'),
    outageGrace: duration.prefault('1h'),
  })
  .prefault({});

const escrow = z.strictObject({
  recipients: z
    .array(z.string().regex(escrowRecipientPattern, 'must be an age X25519 recipient: age1…'))
    .min(1, 'must hold one recipient at least')
    .max(16, 'must hold 16 recipients at most: each value in etcd carries them')
    .refine((all) => new Set(all).size === all.length, 'lists a recipient twice'),
  whoeverHoldsAnIdentityCanDecrypt: z.literal(true, {
    error: 'must be true: it says that you know what an escrow is',
  }),
});

/** What a key of a PluginConfiguration says beyond its key service. */
export const protectionFields = {
  localKek,
  escrow: escrow.optional(),
  /** Part of the key id from 2 on. Raised, on every node alike, when a key that was left comes back. */
  generation: z.int().min(1).max(1e6).default(1),
};

/** How a key is protected, as the file has it; durations are in milliseconds. */
export type Protection = z.output<z.ZodObject<typeof protectionFields>>;

/** Says why the fields don't go together, and at which of them. */
export function protectionProblem({
  localKek: { enabled },
  escrow: kept,
}: Protection): { readonly field: string; readonly message: string } | undefined {
  if (enabled || kept === undefined) return undefined;
  return { field: 'escrow', message: 'needs localKek.enabled: it is the local KEK that is escrowed' };
}

/** The `localKek` of a file as a plugin takes it. */
export function localKekProtection({
  enabled,
  maxAge,
  maxUses,
  cachedKeys,
  cachedFor,
  outageGrace,
}: Protection['localKek']): Pick<KeyProtection, 'localKek' | 'memory'> {
  return {
    localKek: enabled ? { maxAgeMs: maxAge, maxUses } : undefined,
    memory: { keys: cachedKeys, ttlMs: cachedFor, graceMs: outageGrace },
  };
}

/** Present, a new version of the remote key is announced when a migration says so, and not by itself. */
export const rotationField = z.strictObject({ ledger: absolutePath }).optional();

/** Where the HTTP listener for metrics and health is: `{ host, port }` of `address`. */
export const metricsField = z
  .strictObject({
    address: z.string().transform((text, context) => {
      const [, host = '', port = ''] = /^(.+):([0-9]{1,5})$/.exec(text) ?? [];
      const bare = host.replace(/^\[(.*)\]$/, '$1');
      if (isIP(bare) !== 0 && Number(port) <= 65_535) return { host: bare, port: Number(port) };
      context.addIssue({ code: 'custom', message: 'must be an IP address and a port, as in 127.0.0.1:8085' });
      return z.NEVER;
    }),
  })
  .optional();
